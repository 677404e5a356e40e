//! Names that people choose, valid by construction: words of one form, each a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{given}` is not {wanted}: use 1 to 40 of a-z, 0-9 and `-`, beginning with a letter, not ending in `-`"
)]
pub struct InvalidName {
    given: String,
    /// With its article.
    wanted: &'static str,
}

macro_rules! names {
    ($($(#[doc = $doc:literal])* $name:ident, $wanted:literal, $example:literal;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", example = $example)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                checked(text, $wanted).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

names! {
    /// A cluster's name within its tenant: 1–40 of `a-z 0-9 -`, beginning with a letter, not ending in `-`.
    ClusterName, "a cluster name", "demo";
    /// An account's name within its tenant: 1 to 40 of `a-z 0-9 -`, beginning with a letter, not ending in `-`.
    AwsAccountName, "an AWS account's name", "production";
    /// A credential's name within its tenant: 1 to 40 of `a-z 0-9 -`, beginning with a letter, not ending in `-`.
    CredentialName, "a credential's name", "github";
}

fn checked(text: &str, wanted: &'static str) -> Result<String, InvalidName> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_formed = (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(allowed);
    if well_formed {
        return Ok(text.to_owned());
    }
    Err(InvalidName {
        given: text.chars().take(60).collect(),
        wanted,
    })
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
