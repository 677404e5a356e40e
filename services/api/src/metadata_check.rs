//! How a node looks at a metadata database that the tenant brings: part of the agents' protocol (see [`crate::agent`]).
//!
//! Nodes alone connect to it. The scheduler's node takes it for the cluster and brings its schema up to date; the web's waits
//! until that is done.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A database to be found good before services start that are given the way to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataAssignment {
    /// Of all that makes it another one.
    pub digest: String,
    pub host: String,
    pub port: u16,
    /// Program (in the environment's `bin`) and arguments that look. No secret: a command line is public.
    pub argv: Vec<String>,
    /// All of its environment. Holds the DSN.
    pub env: BTreeMap<String, String>,
}

// --- upwards, untrusted like every report ---

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataReport {
    pub digest: String,
    pub outcome: MetadataOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MetadataOutcome {
    /// It is looked at, brought up to date, or waited for.
    Running,
    Done,
    Refused {
        cause: MetadataRefusal,
        /// One sentence or a few; never the password. At most 1,000 characters.
        message: String,
    },
}

/// Why a database is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataRefusal {
    /// Its address is one that this node may not connect to.
    Forbidden,
    /// Nothing answers there.
    Unreachable,
    /// User or password are not accepted, or the user may not connect.
    Credentials,
    /// The server speaks no TLS, or its certificate is not from the authority.
    Tls,
    /// Older than what Airflow runs on.
    Version,
    /// The user may not make tables.
    Rights,
    /// It holds something that is not Airflow's.
    Foreign,
    /// Its schema is of a newer Airflow.
    Newer,
    /// Another cluster's.
    InUse,
    /// Airflow's own migration failed.
    Migration,
    /// It could not be looked at.
    Failed,
}

// It holds the way to the database: it is never printed.
impl fmt::Debug for MetadataAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataAssignment")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
