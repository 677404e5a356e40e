//! What a tenant asks of a cluster, and the roles people have.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BootstrapKey, BootstrapSpec, EnvironmentKey, EnvironmentSpec, FolderSource, LogsSpec, NodeRole};

/// What the tenant asked of a cluster; each change is a new [`crate::Generation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Runtime name, for example `airflow-3.3.2`.
    pub runtime: String,
    /// Worker nodes, 0 to 20.
    #[serde(default = "one")]
    pub workers: u32,
    /// Tasks that one worker node runs at once, 1 to 64.
    #[serde(default = "two")]
    pub worker_concurrency: u32,
    /// Where its DAGs come from: one source for the top, or one for each of several folders.
    pub dag_sources: Vec<FolderSource>,
    /// Airflow options, `section.key` → value. Managed and unknown keys are refused by name.
    #[serde(default)]
    pub config: IndexMap<String, String>,
    /// The cluster's own packages.
    #[serde(default)]
    pub environment: EnvironmentSpec,
    /// Environment variables of services and tasks. Values are shown to whoever may see the cluster: what is secret is kept
    /// by `PATCH /clusters/{id}/secrets`.
    #[serde(default)]
    pub environment_variables: IndexMap<String, String>,
    /// What each node runs before its services start.
    #[serde(default)]
    pub bootstrap: BootstrapSpec,
    /// How long its logs are kept, and where.
    #[serde(default)]
    pub logs: LogsSpec,
    /// Words that access rules go by, for example `env` → `prod`. Nothing that runs depends on them.
    #[serde(default)]
    pub tags: IndexMap<String, String>,
}

/// Whether the tenant wants the cluster to run, stand still (keeping database, DAGs and URL), or be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    Running,
    Stopped,
    Deleted,
}

/// What a person may do on one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClusterRole {
    /// Uses Airflow; its Admin pages are hidden and refused.
    User,
    /// May change the cluster and sees every Airflow page.
    Admin,
}

/// What a person is within a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantRole {
    /// Sees only the clusters a role was granted on.
    Member,
    /// Admin of every cluster, and of the tenant's people.
    Owner,
}

/// How many nodes of each role a running cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCounts {
    pub scheduler: u32,
    pub web: u32,
    pub worker: u32,
}

// === impl ClusterSpec ===

impl ClusterSpec {
    /// What is tried before any node is given it: packages and bootstrap script.
    #[must_use]
    pub fn tried_first(&self) -> (Option<EnvironmentKey>, Option<BootstrapKey>) {
        (self.environment.key(), self.bootstrap.key())
    }

    #[must_use]
    pub fn node_counts(&self) -> NodeCounts {
        NodeCounts {
            scheduler: 1,
            web: 1,
            worker: self.workers,
        }
    }
}

impl NodeCounts {
    #[must_use]
    pub fn of(&self, role: NodeRole) -> u32 {
        match role {
            NodeRole::Scheduler => self.scheduler,
            NodeRole::Web => self.web,
            NodeRole::Worker => self.worker,
        }
    }

    #[must_use]
    pub fn total(&self) -> u32 {
        self.scheduler + self.web + self.worker
    }
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}
