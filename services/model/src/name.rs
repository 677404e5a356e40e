//! Names that people choose, valid by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// A cluster's name within its tenant: 1–40 of `a-z 0-9 -`, beginning with a letter, not ending in `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", example = "demo")]
pub struct ClusterName(String);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{given}` is not a cluster name: use 1 to 40 of a-z, 0-9 and `-`, beginning with a letter, not ending in `-`"
)]
pub struct InvalidName {
    given: String,
}

// === impl ClusterName ===

impl ClusterName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let well_formed = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.chars().all(allowed);
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                given: text.chars().take(60).collect(),
            })
        }
    }
}

impl TryFrom<String> for ClusterName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterName;

    #[test]
    fn names_are_lower_case_words() {
        for good in ["a", "demo", "team-a1", &"a".repeat(40)] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "-a",
            "a-",
            "Demo",
            "a_b",
            "a b",
            "a/b",
            "é",
            &"a".repeat(41),
        ] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }
}
