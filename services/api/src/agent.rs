//! What agents and control say to each other, over the internal listener under `/agent/v1`.
//!
//! Agents dial out. `POST /agent/v1/register` trades the single-use bootstrap token for a node identity;
//! `GET /agent/v1/assignment?after=<version>` is a long poll (25 s); `POST /agent/v1/report` goes up at each change
//! and at least each 5 s. All but `register` carry `Authorization: Bearer <node token>`. Requests and answers say which
//! protocol they are of ([`updraft_model::Protocol`]). Fields are added so that who does not know them misses nothing, and
//! nothing that a neighbouring version needs is taken away: `tests/protocol.rs` holds both to what version 1 sent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use updraft_model::{
    AgentPhase, ClusterId, Generation, NodeId, NodeRole, RequirementsFile, ServiceName, ServiceStatus, Step,
};

pub use crate::agent_release::*;
pub use crate::bootstrap_script::*;
pub use crate::dag_delivery::*;
pub use crate::environment_build::*;
pub use crate::log_delivery::*;
pub use crate::metadata_check::*;
pub use crate::reencryption::*;
use crate::task_load::TaskLoad;
use crate::tunnel::TunnelAssignment;

/// What an agent is started with: a file (mode 0600) named on its command line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bootstrap {
    /// `http://127.0.0.1:7702`
    pub control_url: String,
    pub node: NodeId,
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// The node's own directory; the agent writes nowhere else.
    pub node_dir: String,
    /// The node's own address, as the provider gave it.
    pub address: String,
    /// The system user services run as; none: the agent's own (no root).
    pub service_user: Option<String>,
    /// The system user that the cluster's environments are built as; none: the services'.
    #[serde(default)]
    pub builder_user: Option<String>,
    /// A directory shared by the nodes of this cluster on this machine, for the pre-imported parent's socket.
    pub shared_dir: String,
    /// The instance that this machine is, as its metadata service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Register {
    pub node: NodeId,
    #[serde(serialize_with = "expose")]
    pub bootstrap_token: SecretString,
    /// Where nodes are instances, the token is good from the one alone that control was given for this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    pub agent_version: String,
    pub protocol: u32,
    /// The agent asks for another certificate before its own ends. Who does not is given one without an end.
    #[serde(default)]
    pub renews: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Registered {
    #[serde(serialize_with = "expose")]
    pub node_token: SecretString,
    /// Cluster CA, this node's certificate (SAN = `<role>.<cluster>.updraft.internal`) and key, PEM.
    pub ca_pem: String,
    pub cert_pem: String,
    #[serde(serialize_with = "expose")]
    pub key_pem: SecretString,
    /// None: the certificate has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_after_s: Option<u64>,
}

/// `POST /agent/v1/certificate`: what the node shows to the others of its cluster from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct NodeCertificate {
    /// As the node was told when it registered: nodes of another one are gone before it is believed.
    pub ca_pem: String,
    pub cert_pem: String,
    #[serde(serialize_with = "expose")]
    pub key_pem: SecretString,
    pub renew_after_s: u64,
}

/// All that a node is to be. Kept on the node's disk (0600) so that it survives control's absence.
///
/// Fixed places below `node_dir`, for those who render paths: `work/` (a service's working directory and home),
/// `logs/` (`<service>.log`), `bootstrap/<digest>/` (what a script leaves there), `dags/` (`current`, `versions/`, `wanted/`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// Grows with every change; the long poll's `after`.
    pub version: i64,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub role: NodeRole,
    pub generation: Generation,
    pub power: NodePower,
    /// Directory of the ready environment (a Python venv) on this machine.
    pub environment_dir: String,
    /// What that is, if it is the cluster's own.
    #[serde(default)]
    pub environment: Option<EnvironmentAssignment>,
    /// An environment to be made beside all that runs. On one node of a cluster only.
    #[serde(default)]
    pub build: Option<BuildAssignment>,
    /// Of each DAG version that is live, what this file asks for is reported. On one node of a cluster only.
    #[serde(default)]
    pub requirements_file: Option<RequirementsFile>,
    /// What this node runs before the services that wait for it.
    #[serde(default)]
    pub script: Option<ScriptAssignment>,
    /// A script to be tried beside all that runs. On one node of a cluster only.
    #[serde(default)]
    pub trial: Option<TrialAssignment>,
    /// What Airflow keeps encrypted is written anew by this node. On one node of a cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reencryption: Option<ReencryptionAssignment>,
    /// The tenant's own metadata database, to be looked at before the services that are given the way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataAssignment>,
    pub parent: ParentAssignment,
    /// In start order.
    pub services: Vec<ServiceAssignment>,
    /// Files to write before services start, relative to `node_dir`, mode 0600, owned by the service user.
    pub files: Vec<FileAssignment>,
    /// Directories to make before that, relative to `node_dir`, mode 0700, owned by the service user.
    #[serde(default)]
    pub directories: Vec<String>,
    pub dags: DagDelivery,
    #[serde(default)]
    pub logs: Option<LogDelivery>,
    pub relays: Vec<RelayAssignment>,
    /// Tell how many tasks there are: a queue scales by it.
    #[serde(default)]
    pub tells_load: bool,
    /// Edges reach this node through what its agent dials.
    #[serde(default)]
    pub tunnel: Option<TunnelAssignment>,
    /// The agent that this node is to run; none: whichever it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentAssignment>,
}

/// The pre-imported parent that the services of one cluster's nodes on this machine are forked from. The same for all of
/// them, and without any secret: what it remembers, every service remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentAssignment {
    pub env: BTreeMap<String, String>,
    /// Made before it starts, relative to the shared directory.
    pub directories: Vec<String>,
    /// Written before it starts, relative to the shared directory.
    pub files: Vec<FileAssignment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodePower {
    Run,
    /// Stop services in reverse order (workers drain), then report `stopped`.
    Stop,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceAssignment {
    pub name: ServiceName,
    pub argv: Vec<String>,
    /// The whole environment of the process; may hold secrets.
    pub env: BTreeMap<String, String>,
    /// Names within it whose values are the tenant's secrets, whatever they are called: never quoted.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Fork it from the pre-imported parent.
    pub prefork: bool,
    /// It starts, and is stopped for a change, only when the node's script has been run.
    #[serde(default)]
    pub after_script: bool,
    /// The same for the tenant's own metadata database: it was found good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_metadata: bool,
    /// Services of this node that must be healthy first.
    pub after: Vec<ServiceName>,
    pub health: HealthCheck,
    /// Asked once, one after the other, before the service is first called healthy; any HTTP answer counts.
    #[serde(default)]
    pub warm: Vec<String>,
    /// Seconds between checks once it is healthy.
    #[serde(default = "five")]
    pub interval_s: u32,
    /// Seconds after which a start that is still not healthy becomes a `service_cannot_start` event and a restart.
    #[serde(default = "two_minutes")]
    pub start_within_s: u32,
    /// Ports on the node's own address that this service offers; the relay's server side forwards to no others.
    #[serde(default)]
    pub ports: Vec<u16>,
    pub stop: StopPolicy,
    /// Grows when a restart was asked for; the agent restarts the service once per increase.
    pub restart_nonce: i64,
    /// Stopped on request, until started again.
    pub enabled: bool,
    /// Changes when argv, env or files change in a way that needs a restart.
    pub digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    /// `TERM`, `INT`, `QUIT`
    pub signal: String,
    /// Seconds until KILL.
    pub grace_s: u32,
}

/// How an agent learns that a service works. Addresses are the node's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HealthCheck {
    /// Some 2xx answer.
    HttpStatus { url: String },
    /// A 2xx answer whose JSON has `expect` at each of the dotted paths.
    HttpJson {
        url: String,
        paths: Vec<String>,
        expect: String,
    },
    /// PING → PONG with the password in this file (relative to `node_dir`).
    Redis { address: String, password_file: String },
    /// A Celery worker that consumes from the broker: its heartbeats are read there, never by `celery inspect`
    /// (3.2 CPU s). A message on `channel` is JSON whose `body` is base64 of JSON with `hostname` and `pid`.
    CeleryWorker {
        broker: String,
        password_file: String,
        channel: String,
        hostname: String,
        within_s: u32,
    },
    /// The broker opens its virtual host for `user`, with the password in this file.
    Amqp {
        address: String,
        user: String,
        password_file: String,
    },
    /// A Celery worker that consumes from an AMQP broker: it publishes its heartbeats to this exchange, with this routing
    /// key, as JSON with `hostname` and `pid`.
    CeleryWorkerAmqp {
        broker: String,
        user: String,
        password_file: String,
        exchange: String,
        routing_key: String,
        hostname: String,
        within_s: u32,
    },
    /// The process writes its heartbeat to the database; web nodes answer `/monitor/health` through the relay.
    /// Healthy when `<component>.status` is `healthy` and the time at `<component>.<heartbeat>` is later than this
    /// process's start.
    MonitorHealth {
        url: String,
        component: String,
        heartbeat: String,
    },
    /// The process runs.
    Process,
}

/// A file for the services, mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAssignment {
    /// Relative to `node_dir`, or to the shared directory for the parent's.
    pub path: String,
    pub content: String,
}

/// Services talk to `listen` on their own node; the agent carries it, over mTLS, to `target` wherever it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAssignment {
    /// Port on the node's own address.
    pub listen_port: u16,
    pub role: NodeRole,
    /// Port on the target node's own address.
    pub target_port: u16,
    /// The target agent's relay endpoint `127.x.y.z:7443`; none while there is no such node: connections wait.
    pub target: Option<String>,
}

/// The port on which each agent's relay accepts mTLS connections of its cluster's nodes. The first line a relay
/// client sends is the target port in decimal and `\n`; the agent refuses ports its own services do not offer. It
/// answers `+\n` once it is connected to the service, or `-<reason>\n` and closes.
pub const RELAY_PORT: u16 = 7443;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub node: NodeId,
    /// The assignment this is about.
    pub assignment_version: Option<i64>,
    pub generation: Option<Generation>,
    pub phase: AgentPhase,
    pub services: Vec<ServiceStatus>,
    /// Preparation and start steps of this assignment, for the operation timeline.
    pub steps: Vec<Step>,
    pub events: Vec<AgentEvent>,
    pub dag_version: Option<String>,
    #[serde(default)]
    pub dags: DagReport,
    #[serde(default)]
    pub logs: LogReport,
    #[serde(default)]
    pub build: Option<BuildReport>,
    #[serde(default)]
    pub script: Option<ScriptReport>,
    #[serde(default)]
    pub trial: Option<TrialReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reencryption: Option<ReencryptionReport>,
    pub metadata: Option<MetadataReport>,
    /// Of the whole cluster, by the scheduler's node, where it is asked for that.
    #[serde(default)]
    pub load: Option<TaskLoad>,
    /// When the node's machine will be taken back, where its provider has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaimed_at: Option<DateTime<Utc>>,
    pub cpu_percent: Option<f32>,
    pub memory_bytes: Option<u64>,
    pub agent_version: String,
    /// None: an agent of protocol 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStanding>,
}

// === impl Report ===

impl Report {
    /// Of a node that says nothing else.
    #[must_use]
    pub fn of(node: NodeId, phase: AgentPhase) -> Self {
        Self {
            node,
            assignment_version: None,
            generation: None,
            phase,
            services: Vec::new(),
            steps: Vec::new(),
            events: Vec::new(),
            dag_version: None,
            dags: DagReport::default(),
            logs: LogReport::default(),
            build: None,
            script: None,
            trial: None,
            reencryption: None,
            metadata: None,
            load: None,
            reclaimed_at: None,
            cpu_percent: None,
            memory_bytes: None,
            agent_version: String::new(),
            agent: None,
        }
    }
}

/// Something that happened; `sequence` grows, so that a report sent twice is counted once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentEvent {
    pub sequence: u64,
    pub at: DateTime<Utc>,
    pub service: Option<ServiceName>,
    /// `service_restarted`, `service_cannot_start`, `service_unhealthy`, `dag_sync_failed`, …
    pub kind: String,
    pub severity: crate::rest::Severity,
    /// At most 500 characters.
    pub message: String,
}

fn five() -> u32 {
    5
}

fn two_minutes() -> u32 {
    120
}

pub(crate) fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    use secrecy::ExposeSecret as _;
    serializer.serialize_str(secret.expose_secret())
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
pub(crate) fn expose_some<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose(secret, serializer),
        None => serializer.serialize_none(),
    }
}

// Environments and files hold secrets: they are never printed.

impl std::fmt::Debug for ServiceAssignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAssignment")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FileAssignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileAssignment")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
