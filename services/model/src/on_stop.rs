//! What becomes of the machines of a cluster that is stopped: ended, or kept standing still for a quicker start.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// `end` or `keep`. What EC2 calls terminate and stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStop {
    /// Nothing is left to be paid for; a start makes new machines.
    #[default]
    End,
    /// They stand still with their disks, which are paid for, and a start starts the same ones.
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{given}` is neither `keep` nor `end`: keep leaves machines switched off, end leaves none")]
pub struct InvalidOnStop {
    given: String,
}

// === impl OnStop ===

impl OnStop {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Keep => "keep",
        }
    }

    /// The first that was chosen: a cluster's, its account's, the installation's.
    #[must_use]
    pub fn chosen(by_importance: [Option<Self>; 3]) -> Self {
        by_importance.into_iter().flatten().next().unwrap_or_default()
    }
}

impl FromStr for OnStop {
    type Err = InvalidOnStop;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "end" => Ok(Self::End),
            "keep" => Ok(Self::Keep),
            other => Err(InvalidOnStop {
                given: other.chars().filter(|c| !c.is_control()).take(60).collect(),
            }),
        }
    }
}

impl fmt::Display for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::OnStop::{self, End, Keep};

    #[test]
    fn the_clusters_choice_goes_before_its_accounts_and_the_installations() {
        assert_eq!(OnStop::chosen([Some(End), Some(Keep), Some(Keep)]), End);
        assert_eq!(OnStop::chosen([None, Some(Keep), Some(End)]), Keep);
        assert_eq!(OnStop::chosen([None, None, Some(Keep)]), Keep);
        assert_eq!(OnStop::chosen([None; 3]), End);
    }
}
