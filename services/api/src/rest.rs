//! The public REST API's bodies, under `/api/v1`.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use updraft_model::{
    AgentPhase, AwsAccountName, BootstrapSpec, Broker, ClusterId, ClusterName, ClusterRole, ClusterSpec,
    EnvironmentSpec, EventId, Failure, FolderSource, Generation, IdleStop, LogsSpec, NodeId, NodeRole,
    OnStop, OperationId, OperationKind, OperationState, Phase, Power, QueueName, Schedule, ServiceName,
    ServiceStatus, Step, TenantId, TenantRole, UserId, WorkerQueue,
};
use utoipa::ToSchema;

use crate::agent::expose_some;
use crate::queues::QueueView;
use crate::schedule::UpcomingView;
use crate::tokens::CredentialView;

/// One page of a list. `next` goes into `?cursor=` for the following page.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

// --- sign-in ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub email: String,
    #[schema(format = Password)]
    pub password: String,
    /// Of the authenticator app or a recovery code, for whom a second factor was set up: the problem `code-needed` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// `POST /sessions`. The token is shown once: use it as `Authorization: Bearer`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    pub token: String,
    pub expires_at: DateTime<Utc>,
    pub me: Me,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    pub user: UserId,
    pub email: String,
    pub name: String,
    pub tenant: TenantId,
    pub tenant_name: String,
    pub tenant_role: TenantRole,
    pub credential: CredentialView,
    /// Whether this session is an operator's of the installation.
    pub operator: bool,
    /// For operators: nothing is ended until one confirms that control's database was restored.
    #[serde(default)]
    pub held_after_restore: bool,
    /// How many organisations the person belongs to.
    pub tenants: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    #[schema(format = Password)]
    pub current: String,
    /// 12 to 128 characters.
    #[schema(format = Password)]
    pub new: String,
}

// --- people and grants ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    pub email: String,
    pub name: String,
    pub tenant_role: TenantRole,
    /// 12 to 128 characters, and none of the first to be guessed. Absent: the answer has a link for the person to choose one.
    #[schema(format = Password)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Person {
    pub user: UserId,
    pub email: String,
    pub name: String,
    pub tenant_role: TenantRole,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutGrant {
    pub role: ClusterRole,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    pub user: UserId,
    pub email: String,
    pub role: ClusterRole,
}

// --- clusters ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCluster {
    pub name: ClusterName,
    /// Default: the newest runtime.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The organisation's AWS account that its nodes are in; it stays. Default: the installation's own, or the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_account: Option<AwsAccountName>,
    /// What carries its tasks to its workers; it stays. Default: `valkey`.
    #[serde(default, skip_serializing_if = "Broker::is_default")]
    pub broker: Broker,
    #[serde(default)]
    pub workers: Option<u32>,
    #[serde(default)]
    pub worker_concurrency: Option<u32>,
    /// Queues with workers of their own. One named `default` takes the place of `workers` and `worker_concurrency`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worker_queues: Vec<WorkerQueue>,
    /// Default: `dags/` of the cluster's own bucket.
    #[serde(default)]
    pub dag_sources: Option<Vec<FolderSource>>,
    #[serde(default)]
    pub config: IndexMap<String, String>,
    /// The cluster's own packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentSpec>,
    /// Environment variables of services and tasks; `AIRFLOW__SECTION__KEY` sets an option of Airflow.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment_variables: IndexMap<String, String>,
    /// What each node runs before its services start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapSpec>,
    /// When it starts and stops by itself. Default: never.
    #[serde(default, skip_serializing_if = "Schedule::is_empty")]
    pub schedule: Schedule,
    /// After how long it stops by itself while nothing runs and nobody uses it: `2h`. Default: `never`.
    #[serde(default, skip_serializing_if = "IdleStop::is_never")]
    pub stop_when_idle: IdleStop,
    /// What becomes of its nodes' machines while it is stopped. Default: as its AWS account says, or else the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<OnStop>,
    /// How long its logs are kept, and where. Default: 90 days, in the cluster's own bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsSpec>,
    /// A metadata database of your own instead of one that is made: `postgresql://user:password@host:port/database`, with
    /// `?sslmode=disable|require|verify-ca|verify-full` (default: `verify-full` with `metadata_ca`, else `require`). Nodes alone connect to
    /// it, and it is never deleted. Written only: nothing gives it back.
    #[serde(
        default,
        serialize_with = "expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub metadata_dsn: Option<SecretString>,
    /// Certificates in PEM of the authority that `verify-ca` and `verify-full` hold that database's server to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub metadata_ca: Option<String>,
    /// Words that access rules go by, for example `env` → `prod`; at most 50.
    #[serde(default)]
    pub tags: IndexMap<String, String>,
    /// Whether to start it at once. Default: true.
    #[serde(default)]
    pub start: Option<bool>,
}

/// `PATCH /clusters/{id}` with `If-Match`: what is absent stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCluster {
    /// Nothing but what it is: a cluster stays in the account that it was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_account: Option<AwsAccountName>,
    /// Nothing but what it is: a cluster keeps the broker that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<Broker>,
    #[serde(default)]
    pub workers: Option<u32>,
    #[serde(default)]
    pub worker_concurrency: Option<u32>,
    /// Replaces all queues with workers of their own. Running tasks finish before a worker goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_queues: Option<Vec<WorkerQueue>>,
    /// Replaces all sources. Restarts nothing.
    #[serde(default)]
    pub dag_sources: Option<Vec<FolderSource>>,
    /// Replaces all overrides.
    #[serde(default)]
    pub config: Option<IndexMap<String, String>>,
    /// Replaces the cluster's own packages, once they are solved, installed and checked: until then, and when they are
    /// refused, nothing changes on any node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentSpec>,
    /// Replaces all environment variables: services restart, workers once their tasks are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<IndexMap<String, String>>,
    /// Replaces what nodes run before their services start, once it was tried beside what runs: until then, and when it
    /// fails, nothing changes on any node. An object of S3 is read anew each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapSpec>,
    /// Replaces when it starts and stops by itself, from now on; `{}` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// After how long it stops by itself while nothing runs and nobody uses it: `2h`, or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_when_idle: Option<IdleStop>,
    /// What becomes of its nodes' machines while it is stopped. Machines that are kept are ended when it becomes `end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<OnStop>,
    /// Replaces how long logs are kept, and where. Another bucket restarts the service that shows task logs; what the one
    /// before holds stays there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsSpec>,
    /// Replaces the way to the cluster's own metadata database, as for `POST /clusters`. Refused while it runs, and for a cluster that
    /// began with a database that was made for it.
    #[serde(
        default,
        serialize_with = "expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub metadata_dsn: Option<SecretString>,
    /// With `metadata_dsn`: certificates in PEM of the authority that its server is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub metadata_ca: Option<String>,
    /// Replaces all tags. Restarts nothing.
    #[serde(default)]
    pub tags: Option<IndexMap<String, String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClusterView {
    pub id: ClusterId,
    pub name: ClusterName,
    pub spec: ClusterSpec,
    pub generation: Generation,
    /// What was asked for.
    pub power: Power,
    /// What is.
    pub phase: Phase,
    /// The caller's role.
    pub role: ClusterRole,
    pub airflow_url: String,
    pub nodes_ready: u32,
    pub nodes_wanted: u32,
    /// Where its DAGs come from, in words; for those of its own bucket, where to put them.
    pub dag_location: String,
    pub dag_version: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// While nodes do not have the environment that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentView>,
    /// Its queues and their workers, `default` first.
    #[serde(default)]
    pub queues: Vec<QueueView>,
    /// What happens to it next by itself, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upcoming: Option<UpcomingView>,
    /// The operation under way, if any.
    pub operation: Option<OperationId>,
}

/// What nodes have instead of the wanted environment, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentView {
    pub state: EnvironmentState,
    /// The last good one, which the cluster runs with.
    pub live: EnvironmentSpec,
    /// The bootstrap script that its nodes run.
    pub live_bootstrap: BootstrapSpec,
    /// Why the wanted one was refused, in the tool's own words.
    pub failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentState {
    /// It is being solved, installed and checked; nothing changes on any node.
    Building,
    /// Workers change over first, then scheduler and web.
    RollingOut,
    /// It was refused, or rolled back.
    Refused,
}

/// What a change answers with: `202 Accepted`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    pub cluster: ClusterView,
    pub operation: OperationView,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    pub id: OperationId,
    pub cluster: ClusterId,
    pub kind: OperationKind,
    pub state: OperationState,
    pub generation: Generation,
    pub steps: Vec<Step>,
    pub failure: Option<Failure>,
    pub requested_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    pub id: NodeId,
    pub role: NodeRole,
    /// `worker-2`
    pub label: String,
    /// Whose tasks it takes, if it is a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    pub address: Option<String>,
    /// Whether its machine stands still, kept until the cluster is started.
    #[serde(default)]
    pub off: bool,
    /// Whether it is a machine that leaves a log of its boot.
    #[serde(default)]
    pub has_boot_log: bool,
    /// What its agent last said; `null` before the first report.
    pub phase: Option<AgentPhase>,
    pub generation: Generation,
    pub dag_version: Option<String>,
    pub services: Vec<ServiceStatus>,
    pub created_at: DateTime<Utc>,
    pub last_report_at: Option<DateTime<Utc>>,
    pub cpu_percent: Option<f32>,
    pub memory_bytes: Option<u64>,
    /// Which one its agent is, as it said last.
    pub agent: Option<AgentView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    pub version: String,
    /// Of what it and control say to each other.
    pub protocol: u32,
    /// SHA-256 of the archive that it came in; `null` where it is no archive's.
    pub release: Option<String>,
    /// Why another one, which it was told to make way for, does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_replaced: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    pub node: NodeId,
    pub node_label: String,
    #[serde(flatten)]
    pub status: ServiceStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceVerb {
    Start,
    Stop,
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// One line of the event log; also the `data:` of `GET /events` (SSE), whose `id:` is `id`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    pub id: EventId,
    pub at: DateTime<Utc>,
    pub cluster: Option<ClusterId>,
    pub node: Option<NodeId>,
    pub node_label: Option<String>,
    pub service: Option<ServiceName>,
    /// Stable: `phase_changed`, `service_cannot_start`, `node_lost`, …
    pub kind: String,
    pub severity: Severity,
    pub message: String,
}

/// One Airflow option of a runtime, as the configuration page and validation know it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigOptionView {
    /// `section.key`
    pub key: String,
    pub default: Option<String>,
    pub description: Option<String>,
    /// Set by Updraft; cannot be overridden.
    pub managed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `degraded`
    pub status: String,
    pub version: String,
    pub database: bool,
    #[serde(default)]
    pub mail: MailHealth,
    /// The provider has nodes that the database does not know, as after a restore: nothing is ended until an operator has
    /// confirmed it.
    #[serde(default)]
    pub held_after_restore: bool,
}

/// Whether mail goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailHealth {
    /// No mail server is set up.
    #[default]
    Off,
    Ok,
    /// The last mail could not be sent: control's log says why. It is tried again.
    Failing,
}

// === impl AgentView ===

impl AgentView {
    /// `0.1.0 3f9ac27bd0e1`
    #[must_use]
    pub fn label(&self) -> String {
        let release = self.release.as_deref().unwrap_or_default();
        let short: String = release.chars().take(12).collect();
        format!("{} {short}", self.version).trim_end().to_owned()
    }
}
