//! East-west traffic: services talk to their own node's address; the agent carries it, over mutual TLS, to wherever
//! the cluster's web or scheduler node is now.
//!
//! The far end admits only nodes of its own cluster (certificates of the cluster's CA) and only to ports that its own
//! services offer. While there is no such node, connections wait instead of failing: a node's replacement is a pause.

mod far;
mod near;
mod offered;
mod tls;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use updraft_api::agent::{Assignment, RelayAssignment};

use crate::error::Result;
use offered::Offered;
pub use tls::Tls;

/// Both ends of one node's relays.
#[derive(Debug)]
pub struct Relays {
    address: String,
    tls: Tls,
    near: BTreeMap<u16, Near>,
    offered: Arc<Offered>,
    far: Option<AbortHandle>,
}

#[derive(Debug)]
struct Near {
    target: watch::Sender<RelayAssignment>,
    task: AbortHandle,
}

// === impl Relays ===

impl Relays {
    #[must_use]
    pub fn new(address: &str, tls: Tls) -> Self {
        Self {
            address: address.to_owned(),
            tls,
            near: BTreeMap::new(),
            offered: Arc::default(),
            far: None,
        }
    }

    /// Listens where the assignment says and forwards to where it says. Connections that are open stay as they are.
    pub fn apply(&mut self, assignment: &Assignment) {
        self.offered.set(
            assignment
                .services
                .iter()
                .flat_map(|service| service.ports.iter().copied()),
        );
        // A node of the role that is asked for offers the port itself.
        let wanted: Vec<_> = assignment
            .relays
            .iter()
            .filter(|relay| relay.role != assignment.role)
            .collect();
        self.near.retain(|port, near| {
            let keep = wanted.iter().any(|relay| relay.listen_port == *port);
            if !keep {
                near.task.abort();
            }
            keep
        });
        for relay in wanted {
            self.forward(assignment, relay);
        }
        if self.far.is_none() {
            let task = tokio::spawn(far::listen(
                self.address.clone(),
                self.tls.clone(),
                Arc::clone(&self.offered),
            ));
            self.far = Some(task.abort_handle());
        }
    }

    /// What this node shows, to be exchanged while it runs.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Whether other nodes are connected to one of these ports.
    #[must_use]
    pub fn is_in_use(&self, ports: &[u16]) -> bool {
        ports.iter().any(|port| self.offered.is_in_use(*port))
    }

    fn forward(&mut self, assignment: &Assignment, relay: &RelayAssignment) {
        if let Some(near) = self.near.get(&relay.listen_port) {
            near.target.send_if_modified(|current| {
                let changed = current != relay;
                current.clone_from(relay);
                changed
            });
            return;
        }
        let (target, follow) = watch::channel(relay.clone());
        let listen = near::listen(self.address.clone(), assignment.cluster, self.tls.clone(), follow);
        let task = tokio::spawn(listen).abort_handle();
        self.near.insert(relay.listen_port, Near { target, task });
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.near.values().for_each(|near| near.task.abort());
        if let Some(far) = &self.far {
            far.abort();
        }
    }
}

/// Opens the relay's configuration.
///
/// # Errors
/// When the certificates don't fit.
pub fn open(address: &str, ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<Relays> {
    Ok(Relays::new(address, Tls::new(ca_pem, cert_pem, key_pem)?))
}
