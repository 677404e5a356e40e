//! What a node runs before its services start, and how that is tried first: part of the agents' protocol (see
//! [`crate::agent`]).
//!
//! One node tries a changed script, once as each role, in a directory of its own beside all that runs. A script that is an
//! object is read by that node alone, with the tenant's credential, and kept in the cluster's own bucket: every node runs
//! what was tried.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_model::NodeRole;

use crate::agent::{BuildLimits, KeyPair};

/// Run once on a node, before the services that wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptAssignment {
    /// Of all that makes it another one; its directory below `bootstrap/`.
    pub digest: String,
    pub from: ScriptFrom,
    /// The cluster's own variables; no secret.
    pub env: BTreeMap<String, String>,
    pub limits: BuildLimits,
}

/// Where a node has the text from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScriptFrom {
    Inline {
        text: String,
    },
    /// An object of the cluster's own bucket, written by who tried it.
    Kept {
        key: String,
    },
}

/// A script to be tried beside what runs. On one node of a cluster only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialAssignment {
    /// Grows when somebody asks again for what failed.
    pub attempt: i64,
    pub script: ScriptAssignment,
    /// Where the tenant keeps it, when it is no text of the spec.
    pub object: Option<ScriptObject>,
    /// It is tried as each of these.
    pub roles: Vec<NodeRole>,
}

/// An object of a bucket of the tenant's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptObject {
    /// None: AWS itself in `region`.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub key: String,
    pub credential: Option<KeyPair>,
}

// --- upwards, untrusted like every report ---

/// What became of the node's own script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptReport {
    pub digest: String,
    pub outcome: ScriptOutcome,
}

/// What became of the trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    pub digest: String,
    pub attempt: i64,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// As what it is tried just now, or was last.
    pub role: Option<NodeRole>,
    pub outcome: ScriptOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ScriptOutcome {
    Running,
    Done,
    Failed {
        cause: ScriptFailure,
        /// How it ended, and its last lines; at most 2,000 characters.
        message: String,
    },
}

/// Why services do not start with a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptFailure {
    /// It could not be read.
    Source,
    /// It ended with another exit code than 0, or by a signal.
    Exit,
    Time,
    Memory,
    Disk,
    Processes,
    /// The agent could not run it.
    Failed,
}

// A script may hold what is secret: it is never printed.
impl fmt::Debug for ScriptFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline { .. } => f.write_str("Inline"),
            Self::Kept { key } => f.debug_struct("Kept").field("key", key).finish(),
        }
    }
}
