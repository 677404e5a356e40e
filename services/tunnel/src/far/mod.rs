//! The far end: a node's agent keeps tunnels to every edge, and carries what comes through them to its own Airflow.

mod carry;
mod dial;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use updraft_model::{EdgeId, NodeId};

use crate::pace::Pace;

pub use search::TUNNELS_PER_EDGE;

/// Where to, as whom, and for what. From the node's assignment.
#[derive(Clone, Debug)]
pub struct FarSettings {
    pub node: NodeId,
    /// `tunnel.example.com:7443`: the edges, or a TCP balancer before them.
    pub address: String,
    /// In each edge's certificate.
    pub server_name: String,
    /// The one authority that is believed.
    pub ca_pem: String,
    pub token: SecretString,
    /// That are to be reached, as far as control knows; others are welcome.
    pub edges: BTreeSet<EdgeId>,
    /// The node's own Airflow: all that is ever connected to.
    pub target: SocketAddr,
}

/// Dropped, it closes its tunnels.
#[derive(Debug)]
pub struct FarEnd {
    settings: watch::Sender<FarSettings>,
    standing: watch::Receiver<BTreeMap<EdgeId, usize>>,
    task: AbortHandle,
}

// === impl FarEnd ===

impl FarEnd {
    /// Begins to dial.
    #[must_use]
    pub fn start(settings: FarSettings, pace: Pace) -> Self {
        let (settings, follow) = watch::channel(settings);
        let (tell, standing) = watch::channel(BTreeMap::new());
        let task = tokio::spawn(search::run(follow, tell, pace)).abort_handle();
        Self {
            settings,
            standing,
            task,
        }
    }

    /// Tunnels that are open stay as they are; what is dialled from now on is dialled so.
    pub fn update(&self, settings: FarSettings) {
        self.settings.send_replace(settings);
    }

    /// How many tunnels there are to each edge.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<BTreeMap<EdgeId, usize>> {
        self.standing.clone()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}
