//! What Airflow keeps encrypted, written anew with another Fernet key: part of the agents' protocol (see [`crate::agent`]).
//!
//! One node of a cluster does it, before anything runs in the cluster that reads with that key.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// To be run once, as the services' user. On one node of a cluster only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReencryptionAssignment {
    /// Another one is another turn of the keys.
    pub attempt: i64,
    pub argv: Vec<String>,
    /// The whole environment of the process, with both keys.
    pub env: BTreeMap<String, String>,
    pub time_limit_s: u32,
}

/// What became of it. Upwards, untrusted like every report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReencryptionReport {
    pub attempt: i64,
    pub outcome: ReencryptionOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReencryptionOutcome {
    Running,
    Done,
    /// How it ended each time, with its last words; at most 500 characters.
    Failed {
        message: String,
    },
}

// It holds keys: they are never printed.
impl fmt::Debug for ReencryptionAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReencryptionAssignment")
            .field("attempt", &self.attempt)
            .field("argv", &self.argv)
            .finish_non_exhaustive()
    }
}
