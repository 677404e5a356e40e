//! Observe → plan → execute → record, for one cluster at a time, for ever.
//!
//! [`Reconciler::run`] wakes on announcements of the database, on transitions that agents report (both by way of the
//! cluster's `wake_at`) and on time, takes a lease on each cluster that is due, and looks until there is nothing to do.
//! What is to be done is decided in `planner` alone; nothing here chooses. Any number of processes may run it.
//!
//! A driver may die between any two statements: records precede effects, effects are idempotent, and the next driver
//! begins by looking. A driver that outlived its lease writes nothing (`leases::hold`).

mod accounts;
mod agent_rollout;
mod agent_words;
mod bootstrap;
mod dag_receipts;
mod environment;
mod error;
mod execute;
mod hold;
mod inventory;
mod keys;
mod launch;
mod listen;
mod liveness;
mod metadata;
mod network;
mod observe;
mod record;
mod reports;
mod requirements;
mod resources;
mod run;
mod shares;
mod steady;
mod sweep;
mod switching;
mod task_load;
mod volumes;
mod watch;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::timeout;
use updraft_model::{ClusterId, NodeAccount, NodeId, OnStop};
use updraft_provider::{ClusterStorage, NodeProvider, ProviderError};
use updraft_store::Store;
use updraft_store::metadata::MetadataServer;
use updraft_store::secrets::MasterKey;
use uuid::Uuid;

use accounts::Launches;
use inventory::Inventory;
use shares::Shares;

pub use error::ReconcileError;
pub(crate) use keys::{fernet_keys, turn};
pub use launch::bootstrap_token;
pub use liveness::Liveness;
pub use reports::{ReportRefused, Reports};
pub use resources::secret;

/// Drives clusters to where they were asked to be.
pub struct Reconciler {
    parts: Parts,
    /// This process, in leases and among the processes of control.
    owner: Uuid,
    inventory: Inventory,
    /// Accounts whose list this process has compared with all records: before that it ends nothing there.
    compared: Mutex<HashSet<NodeAccount>>,
    launches: Launches,
    shares: Arc<Shares>,
    /// A look ended: another may be due earlier than was thought.
    looked: Notify,
}

/// What the reconciler works with.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub master_key: Arc<MasterKey>,
    pub metadata: MetadataServer,
    pub provider: Arc<dyn NodeProvider>,
    pub storage: Arc<dyn ClusterStorage>,
    pub assignments: Arc<dyn Assignments>,
    pub liveness: Arc<Liveness>,
    pub settings: Settings,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where agents find control: `http://127.0.0.1:7702`.
    pub control_url: String,
    /// How long a cluster is held by a driver that no longer shows; longer than [`Settings::call_timeout`].
    pub lease: Duration,
    /// The longest that one call to provider, storage or metadata server may take.
    pub call_timeout: Duration,
    /// Pause between comparisons of the provider's whole list with the records.
    pub sweep: Duration,
    /// Pause between two looks at that list for what changed in it.
    pub watch: Duration,
    /// So old the list may be for a look at a cluster that is changing.
    pub fresh: Duration,
    /// What becomes of machines of clusters that are stopped, where neither these nor their accounts say so.
    pub on_stop: Option<OnStop>,
    /// How long a queue that scales by itself needs fewer workers before some go.
    pub scale_in_after: Duration,
    /// How many clusters are looked at at once; of a tenant's account a third of these.
    pub parallel: usize,
    /// How many nodes are launched at once. Fewer than `parallel`: where a provider limits the rate, those who wait for it
    /// keep nobody else from being looked at, and none of them waits as long as `call_timeout`. A tenant's account has a quarter of
    /// these, and all tenants' together half, beside those of the installation's own.
    pub launches: usize,
    /// Pause of a cluster whose nodes' turn to be launched has not come.
    pub queued: Duration,
    /// SHA-256 of the archive of the agent that nodes are to run; none: whichever they came with.
    pub agent_release: Option<String>,
    /// The cluster whose nodes get another agent before all others; where it fails there, nobody else gets it.
    pub agent_first_in: Option<ClusterId>,
    /// Pause between two looks at whose agent is to be replaced next.
    pub agents: Duration,
}

/// What the reconciler needs of those who render assignments.
#[async_trait]
pub trait Assignments: Send + Sync {
    /// Brings each live node's `assignment_version` up to what its assignment is now, and wakes the agents that wait for
    /// a new one. Called at the beginning of each look; cheap when nothing changed. A cluster whose secrets, database or
    /// storage are not ready has no assignments yet: that is no error.
    async fn refresh(&self, cluster: ClusterId) -> Result<(), AssignmentsError>;

    /// Removes what nodes kept of a cluster that is deleted.
    fn forget(&self, cluster: ClusterId);

    /// The template database of a runtime.
    fn template_of(&self, runtime: &str) -> String;

    /// A new certificate authority for a cluster: certificate and key, PEM.
    fn new_authority(&self, cluster: ClusterId) -> Result<(String, SecretString), AssignmentsError>;
}

/// Something went wrong while assignments were rendered; the words are for operators.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AssignmentsError(pub String);

// === impl Reconciler ===

impl Reconciler {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let inventory = Inventory::new(Arc::clone(&parts.provider), parts.settings.call_timeout);
        Self {
            launches: Launches::new(parts.settings.launches),
            shares: Arc::new(Shares::new(parts.settings.parallel)),
            parts,
            owner: Uuid::new_v4(),
            inventory,
            compared: Mutex::default(),
            looked: Notify::new(),
        }
    }

    /// This process, to all others.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.owner
    }

    /// Takes what agents report; share it with their endpoint.
    #[must_use]
    pub fn reports(&self) -> Reports {
        let first = self.parts.settings.agent_first_in;
        Reports::new(self.parts.store.clone(), Arc::clone(&self.parts.liveness)).with_agents_first_in(first)
    }
}

// === impl Parts ===

impl Parts {
    /// What the provider answers, within its time.
    async fn answered<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let answer = timeout(self.settings.call_timeout, call).await;
        answer.unwrap_or_else(|_| Err(ProviderError::Unclear("it took too long".to_owned())))
    }
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            control_url: String::new(),
            lease: Duration::from_secs(60),
            call_timeout: Duration::from_secs(30),
            sweep: Duration::from_secs(60),
            on_stop: None,
            scale_in_after: Duration::from_secs(300),
            watch: Duration::from_secs(5),
            fresh: Duration::from_secs(1),
            parallel: 24,
            launches: 16,
            queued: Duration::from_secs(10),
            agent_release: None,
            agent_first_in: None,
            agents: Duration::from_secs(5),
        }
    }
}

/// The node's client token as text.
fn client_token(node: NodeId) -> String {
    updraft_provider::ClientToken::of(node).0
}
