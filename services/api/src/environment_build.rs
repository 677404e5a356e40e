//! What the building node is told of an environment, and what it says of it: part of the agents' protocol (see
//! [`crate::agent`]).

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::agent::expose;

/// Where a packed environment lies in a cluster's bucket: named by what went in, then by what came out.
#[must_use]
pub fn environment_key(digest: &str, sha256: &str) -> String {
    format!("{ENVIRONMENTS}/{digest}/{sha256}{ENVIRONMENT_END}")
}

/// Below it lie all packed environments of a cluster.
pub const ENVIRONMENTS: &str = "updraft/environments";
pub const ENVIRONMENT_END: &str = ".tar.zst";

/// The cluster's own environment that a node runs with. A node whose disk lacks it fetches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentAssignment {
    /// Of all that went in; the last part of the assignment's `environment_dir`.
    pub digest: String,
    /// The runtime's own environment, which it extends.
    pub base_dir: String,
    /// Names of environments that stay.
    pub keep: Vec<String>,
    /// The largest that is taken, packed or not.
    pub disk_bytes: u64,
}

/// `GET /agent/v1/environments/{digest}`: a packed environment that the node's cluster may take.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnvironmentOffer {
    /// Good for this one object and some minutes, for whoever has it.
    #[serde(serialize_with = "expose")]
    pub url: SecretString,
    /// Of the archive, lower-case hex: nothing else is to be unpacked.
    pub sha256: String,
    pub bytes: u64,
    /// Whether other clusters of the tenant may take it too.
    pub shared: bool,
}

/// An environment to be built on this node unless it is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuildAssignment {
    /// Of all that goes in; the last part of `directory`.
    pub digest: String,
    /// Grows when somebody asks again for what was refused.
    pub attempt: i64,
    /// Where it is to be, absolute. Beside it others of the same cluster, and builds under way.
    pub directory: String,
    /// The runtime's own environment, which it extends and never changes.
    pub base_dir: String,
    /// What the cluster has now: DAGs that do not import there either are no reason to refuse.
    pub before_dir: String,
    /// Names of environments that stay; others of this cluster that were unused for long may go.
    pub keep: Vec<String>,
    /// Control knows of a copy in the cluster's bucket.
    #[serde(default)]
    pub recorded: bool,
    pub requirements: String,
    pub allow_source_builds: bool,
    #[serde(default)]
    pub plugins: Option<PluginsAssignment>,
    /// Absolute.
    pub uv: String,
    /// None: the public one.
    pub index_url: Option<String>,
    /// The tenant's own, asked first, at an address that the node judges.
    #[serde(default)]
    pub own_index: Option<IndexDelivery>,
    pub limits: BuildLimits,
}

/// Plugins that belong to an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginsAssignment {
    pub digest: String,
    /// A DAG version that has them in its folder `plugins/`.
    pub version: String,
}

/// A package index of the tenant's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexDelivery {
    pub url: String,
    pub login: Option<IndexLogin>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexLogin {
    pub username: String,
    #[serde(serialize_with = "expose")]
    pub password: SecretString,
}

/// All that a build may take, its children included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLimits {
    pub time_s: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    pub processes: u32,
}

// --- upwards, untrusted like every report ---

/// What became of the assigned build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    pub digest: String,
    pub attempt: i64,
    /// Those that were begun, in order.
    pub stages: Vec<BuildStageReport>,
    pub outcome: BuildOutcome,
    /// Its copy in the cluster's bucket, when this agent put one there.
    #[serde(default)]
    pub kept: Option<KeptReport>,
}

/// A packed environment in the cluster's bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReport {
    /// Of the archive, lower-case hex.
    pub sha256: String,
    pub bytes: u64,
    /// None of the cluster's processes could touch it before it was packed.
    pub apart: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStageReport {
    pub stage: BuildStage,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// What it is about, or how many packages; at most 500 characters.
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStage {
    Solve,
    Install,
    Check,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BuildOutcome {
    Running,
    /// It is in its place.
    Ready,
    Refused {
        cause: BuildRefusal,
        /// The tool's own last lines, at most 2,000 characters.
        message: String,
    },
}

/// Why an environment is not rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildRefusal {
    /// The requirements contradict each other or the runtime.
    Conflict,
    /// There is no such package, or no wheel of it.
    Missing,
    /// The index could not be asked.
    Index,
    /// A package could not be installed or built.
    Install,
    /// It would change what Airflow itself stands on.
    BreaksAirflow,
    /// The plugins that the DAGs bring can't be loaded.
    BreaksPlugins,
    /// DAGs that import now would not.
    BreaksDags,
    Time,
    Memory,
    Disk,
    Processes,
    /// The builder itself failed.
    Failed,
}
