//! What a tenant asks of a cluster, and the roles people have.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AwsAccountName, BootstrapKey, BootstrapSpec, Broker, EnvironmentKey, EnvironmentSpec, FolderSource,
    IdleStop, LogsSpec, MetadataDatabase, OnStop, QueueName, Schedule, WorkerQueue,
};

/// What the tenant asked of a cluster; each change is a new [`crate::Generation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Runtime name, for example `airflow-3.3.2`.
    pub runtime: String,
    /// The AWS account of the tenant's that its nodes are in. Chosen when it is made, and it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_account: Option<AwsAccountName>,
    /// What carries its tasks to its workers. Chosen when it is made, and it stays.
    #[serde(default, skip_serializing_if = "Broker::is_default")]
    pub broker: Broker,
    /// Worker nodes of the queue `default`, 0 to 20: the least, where `worker_queues` says how many.
    #[serde(default = "one")]
    pub workers: u32,
    /// Tasks that one worker node of the queue `default` runs at once, 1 to 64.
    #[serde(default = "two")]
    pub worker_concurrency: u32,
    /// Queues with workers of their own. One named `default` says what `workers` and `worker_concurrency` can't.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worker_queues: Vec<WorkerQueue>,
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
    /// When it starts and stops by itself.
    #[serde(default, skip_serializing_if = "Schedule::is_empty")]
    pub schedule: Schedule,
    /// After how long it stops by itself while nothing runs and nobody uses it.
    #[serde(default, skip_serializing_if = "IdleStop::is_never")]
    pub stop_when_idle: IdleStop,
    /// What becomes of its nodes' machines while it is stopped. None: as its AWS account says, or else the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<OnStop>,
    /// How long its logs are kept, and where.
    #[serde(default)]
    pub logs: LogsSpec,
    /// The database of the tenant's own that holds its metadata; none: one that Updraft makes and deletes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_database: Option<MetadataDatabase>,
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

/// The part of a spec that says how many nodes a cluster may have: what a quota counts, of many clusters at once.
#[derive(Clone, Debug, Deserialize)]
pub struct ClusterSize {
    #[serde(default = "one")]
    workers: u32,
    #[serde(default)]
    worker_queues: Vec<WorkerQueue>,
}

// === impl ClusterSpec ===

impl ClusterSpec {
    /// What is tried before any node is given it: packages and bootstrap script.
    #[must_use]
    pub fn tried_first(&self) -> (Option<EnvironmentKey>, Option<BootstrapKey>) {
        (self.environment.key(), self.bootstrap.key())
    }

    /// Every queue it has, `default` first.
    #[must_use]
    pub fn queues(&self) -> Vec<WorkerQueue> {
        let (default, others): (Vec<_>, Vec<_>) = self
            .worker_queues
            .iter()
            .cloned()
            .partition(|queue| queue.name.is_default());
        let default = default.into_iter().next().unwrap_or_else(|| WorkerQueue {
            name: QueueName::default(),
            instance_type: None,
            concurrency: self.worker_concurrency,
            min: self.workers,
            max: self.workers,
        });
        std::iter::once(default).chain(others).collect()
    }

    /// The most nodes it ever wants at once: scheduler, web, and as many workers as its queues may have.
    #[must_use]
    pub fn most_nodes(&self) -> u32 {
        most_nodes(self.workers, &self.worker_queues)
    }
}

// === impl ClusterSize ===

impl ClusterSize {
    /// As [`ClusterSpec::most_nodes`].
    #[must_use]
    pub fn most_nodes(&self) -> u32 {
        most_nodes(self.workers, &self.worker_queues)
    }
}

fn most_nodes(workers: u32, queues: &[WorkerQueue]) -> u32 {
    let default = if queues.iter().any(|queue| queue.name.is_default()) {
        0
    } else {
        workers
    };
    let workers = queues.iter().map(|queue| queue.max);
    workers.fold(default.saturating_add(2), u32::saturating_add)
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}
