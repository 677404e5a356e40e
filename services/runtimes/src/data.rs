//! The schema of `runtime.toml`, as `infra/runtimes/README.md` describes it.

use indexmap::IndexMap;
use serde::Deserialize;
use updraft_model::{Broker, NodeRole, ServiceName};

#[derive(Debug, Deserialize)]
pub(crate) struct RuntimeData {
    pub(crate) runtime: Head,
    /// Secret → the variables it unlocks.
    pub(crate) secrets: IndexMap<String, Vec<String>>,
    pub(crate) env: IndexMap<String, String>,
    #[serde(default)]
    pub(crate) directories: Directories,
    #[serde(default, rename = "file")]
    pub(crate) files: Vec<FileTemplate>,
    pub(crate) managed: IndexMap<String, IndexMap<String, String>>,
    /// What depends on the cluster's broker.
    pub(crate) brokers: IndexMap<Broker, OfBroker>,
    pub(crate) defaults: IndexMap<String, IndexMap<String, String>>,
    pub(crate) locked: Locked,
    pub(crate) prefork: Prefork,
    #[serde(rename = "service")]
    pub(crate) services: Vec<Service>,
    #[serde(rename = "relay")]
    pub(crate) relays: Vec<Relay>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) airflow_version: String,
    pub(crate) lock: String,
    pub(crate) migrate: Vec<String>,
    #[serde(default = "rotate_fernet_key")]
    pub(crate) reencrypt: Vec<String>,
    #[serde(default)]
    pub(crate) clear_env: Vec<String>,
}

/// The command of every release so far.
fn rotate_fernet_key() -> Vec<String> {
    ["airflow", "rotate-fernet-key"].map(str::to_owned).into()
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Directories {
    pub(crate) paths: Vec<String>,
}

/// Laid beside what every cluster has.
#[derive(Debug, Deserialize)]
pub(crate) struct OfBroker {
    pub(crate) managed: IndexMap<String, IndexMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Locked {
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Prefork {
    #[serde(default)]
    pub(crate) env: IndexMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FileTemplate {
    pub(crate) path: String,
    pub(crate) content: String,
}

/// One process of one role.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    pub name: ServiceName,
    pub role: NodeRole,
    /// None: whatever the cluster's broker is.
    #[serde(default)]
    pub(crate) broker: Option<Broker>,
    pub(crate) argv: Vec<String>,
    pub prefork: bool,
    /// Whether it gets Airflow's environment at all.
    pub(crate) airflow: bool,
    pub(crate) secrets: Vec<String>,
    pub after: Vec<ServiceName>,
    pub ports: Vec<u16>,
    pub start_within_seconds: u32,
    pub stop_signal: String,
    pub stop_grace_seconds: u32,
    #[serde(default)]
    pub(crate) warm: Vec<String>,
    #[serde(default)]
    pub(crate) env: IndexMap<String, String>,
    #[serde(default, rename = "file")]
    pub(crate) files: Vec<FileTemplate>,
    pub(crate) health: Health,
    /// Instead of `health` where the cluster has this broker.
    #[serde(default)]
    pub(crate) health_with: IndexMap<Broker, Health>,
}

/// A health check; addresses, URLs and names are templates until rendered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Health {
    RedisPing {
        address: String,
        interval_seconds: u32,
    },
    HttpStatus {
        url: String,
        interval_seconds: u32,
    },
    HttpJson {
        url: String,
        healthy: Vec<String>,
        interval_seconds: u32,
    },
    MonitorHealth {
        url: String,
        component: String,
        heartbeat: String,
        interval_seconds: u32,
    },
    Celery {
        address: String,
        channel: String,
        hostname: String,
        within_seconds: u32,
        interval_seconds: u32,
    },
    Amqp {
        address: String,
        user: String,
        interval_seconds: u32,
    },
    CeleryAmqp {
        address: String,
        user: String,
        exchange: String,
        routing_key: String,
        hostname: String,
        within_seconds: u32,
        interval_seconds: u32,
    },
}

/// The agent listens on `port` of nodes of these roles and forwards to the node of `service`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Relay {
    pub port: u16,
    pub service: ServiceName,
    pub on: Vec<NodeRole>,
    /// None: whatever the cluster's broker is.
    #[serde(default)]
    pub(crate) broker: Option<Broker>,
}
