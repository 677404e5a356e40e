//! All that one node's assignment is made of.

use std::collections::BTreeMap;

use secrecy::SecretString;
use updraft_api::agent::{BuildAssignment, EnvironmentAssignment, TrialAssignment};
use updraft_app::LogPlace;
use updraft_authz::PublicKey;
use updraft_model::{
    ClusterId, ClusterSpec, CredentialName, Generation, NodeId, NodeRole, QueueName, RequirementsFile,
    ServiceName,
};
use updraft_provider::StorageAccess;
use updraft_store::credentials::OpenCredential;
use updraft_store::task_secrets::OpenTaskSecret;

use super::BroughtDatabase;

/// Parameters of [`super::render`].
pub struct AssignmentInputs<'a> {
    pub cluster: ClusterId,
    pub generation: Generation,
    pub spec: &'a ClusterSpec,
    pub node: NodeId,
    pub role: NodeRole,
    /// Of the nodes of its role.
    pub ordinal: u32,
    /// Whose tasks it takes, if it is a worker.
    pub queue: Option<QueueName>,
    /// Whether the node is to run, or to stop its services before it is terminated.
    pub run: bool,
    /// Whether it stops while its cluster goes on running: its tasks are given their time.
    pub drains: bool,
    pub place: NodePlace,
    /// An environment to be built on this node.
    pub build: Option<BuildAssignment>,
    /// A script to be tried on this node.
    pub trial: Option<TrialAssignment>,
    /// What is asked for there is reported, also while nodes are given an older spec.
    pub requirements_file: Option<RequirementsFile>,
    /// Nodes of this cluster that have an address, this one too.
    pub peers: &'a [Peer],
    pub secrets: &'a ClusterSecrets,
    /// Certificates that the installation's metadata server is held to, PEM; none: drivers decide.
    pub metadata_authority: Option<&'a str>,
    pub storage: &'a StorageAccess,
    /// Where its logs go.
    pub logs: &'a LogPlace,
    /// What logs may take on a node's disk.
    pub log_disk_bytes: u64,
    pub dags: &'a DagInputs,
    /// Verify what the edge says of a person.
    pub airflow_keys: &'a [PublicKey],
    /// `http://127.0.0.1:7701/airflow-webserver-1/`
    pub base_url: String,
    /// Asked-for restarts of the service so far, the cluster's own included.
    pub restart_nonce: &'a dyn Fn(ServiceName) -> i64,
    /// False while the service is stopped on request.
    pub enabled: &'a dyn Fn(ServiceName) -> bool,
}

/// Where a node keeps its things.
pub struct NodePlace {
    /// The node's own address.
    pub address: String,
    pub node_dir: String,
    /// Shared by the cluster's nodes on this machine.
    pub shared_dir: String,
    pub environment_dir: String,
    /// What that is, if it is the cluster's own.
    pub environment: Option<EnvironmentAssignment>,
    /// Of the environment; none: it has none.
    pub plugins_dir: Option<String>,
    /// Of what the environment has beyond the runtime's packages: services are restarted when it changes.
    pub environment_key: Option<String>,
    /// `valkey-server`, absolute.
    pub broker_binary: String,
    /// `rabbitmq-server`, absolute; there where the node's machine has it.
    pub rabbitmq_binary: String,
}

/// What is said of the cluster's DAGs besides its spec.
#[derive(Debug, Default)]
pub struct DagInputs {
    /// What the spec's sources name, decrypted; empty for nodes that do not resolve them.
    pub credentials: BTreeMap<CredentialName, OpenCredential>,
    /// The version somebody rolled back to.
    pub pinned: Option<String>,
    /// Versions whose plugins an environment is made of.
    pub kept: Vec<String>,
    /// Asked-for looks at the sources so far.
    pub sync_nonce: i64,
    /// Destinations beyond the public internet that the installation opens.
    pub outbound_allow: Vec<String>,
}

pub struct Peer {
    pub role: NodeRole,
    pub address: String,
}

/// One turn of the keys.
pub struct Reencryption {
    pub attempt: i64,
    /// The new one, then those that were before it, as Airflow takes several.
    pub fernet_keys: SecretString,
}

/// One cluster's secrets, decrypted for as long as one rendering takes.
pub struct ClusterSecrets {
    pub dsn: SecretString,
    /// What that leads to, where it is a database of the tenant's own.
    pub brought: Option<BroughtDatabase>,
    pub fernet_key: SecretString,
    /// What Airflow keeps encrypted is to be written anew; until then nothing runs that reads it.
    pub reencryption: Option<Reencryption>,
    pub jwt_secret: SecretString,
    pub broker_password: SecretString,
    /// What its tasks know and nobody is shown.
    pub tasks: Vec<OpenTaskSecret>,
}
