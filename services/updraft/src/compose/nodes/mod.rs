//! Where nodes come from, for those who compose: a provider, and all that belongs to its kind of nodes.

mod account_check;
mod ec2;
mod local;
mod openings;

use std::sync::Arc;

use updraft_app::{BootLogs, ResourceAccounts, Tenancy};
use updraft_control::agents::AgentRelease;
use updraft_control::assignments::Places;
use updraft_control::audit_export::AuditBucket;
use updraft_control::node_accounts::KeptAccounts;
use updraft_control::storage_sessions::StorageSessions;
use updraft_model::{ClusterId, OnStop};
use updraft_provider::local::LocalProvider;
use updraft_provider::{ClusterStorage, NodeProvider, SeveralAccounts};
use updraft_store::Store;
use updraft_store::metadata::MetadataServer;

use crate::config::{ControlFile, NodesFile};

pub(crate) use local::{nodes_run, stop_nodes};

pub(crate) struct Nodes {
    pub(crate) provider: Arc<dyn NodeProvider>,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) storage: Arc<dyn ClusterStorage>,
    /// None: what opens it does not end.
    pub(crate) sessions: Option<Arc<dyn StorageSessions>>,
    /// None: the audit log is copied nowhere.
    pub(crate) audit: Option<Arc<dyn AuditBucket>>,
    pub(crate) metadata: MetadataServer,
    /// Where agents find control.
    pub(crate) control_url: String,
    /// Where people put DAGs, where it is another place than locally.
    pub(crate) dag_location: Option<String>,
    pub(crate) tenancy: Tenancy,
    /// Tenants' own AWS accounts; None: nodes are in the installation's own place alone.
    pub(crate) accounts: Option<ResourceAccounts>,
    /// A node introduces itself with the id of the instance that it is.
    pub(crate) are_instances: bool,
    /// What nodes' machines said while they booted; none: they boot nothing.
    pub(crate) boot_logs: Option<Arc<dyn BootLogs>>,
    /// What becomes of machines of clusters that are stopped, where neither these nor their accounts say so.
    pub(crate) on_stop: Option<OnStop>,
    /// The agent that nodes are to run; none: whichever they were made with.
    pub(crate) agent: Option<AgentRelease>,
    /// The cluster whose nodes get another agent before all others.
    pub(crate) agents_first_in: Option<ClusterId>,
    /// Agents that nobody but control starts again.
    pub(crate) supervised: Option<Arc<LocalProvider>>,
}

// === impl Nodes ===

impl Nodes {
    /// With those of tenants' accounts that are on record.
    pub(crate) fn with_accounts_of(self, store: &Store) -> Self {
        let Some(accounts) = &self.accounts else {
            return self;
        };
        let records = KeptAccounts { store: store.clone() };
        let opens = Arc::clone(&accounts.opens);
        let several = SeveralAccounts::new(Arc::clone(&self.provider), opens, Arc::new(records));
        Self {
            provider: Arc::new(several),
            ..self
        }
    }

    /// # Errors
    /// When a setting cannot be right, or the data directory cannot be used.
    pub(crate) async fn open(file: &ControlFile, store: &Store) -> anyhow::Result<Self> {
        match &file.nodes {
            NodesFile::Local(local) => local::open(file, local, store).await,
            NodesFile::Ec2(ec2) => ec2::open(file, ec2),
        }
    }
}
