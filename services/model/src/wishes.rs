//! What people asked of single services: stop, start, restart, on one node or on all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{NodeId, ServiceName};

/// By service; a service that nobody asked anything of is not in it and is enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceWishes(BTreeMap<ServiceName, ServiceWish>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ServiceWish {
    /// Grows with each asked-for restart on all nodes.
    #[serde(default)]
    restart_nonce: i64,
    #[serde(default = "yes")]
    enabled: bool,
    /// What was asked of it on single nodes; outlives the node harmlessly.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    nodes: BTreeMap<NodeId, NodeWish>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct NodeWish {
    #[serde(default)]
    restart_nonce: i64,
    /// None: as on all nodes.
    #[serde(default)]
    enabled: Option<bool>,
}

/// What the wishes come to for one service on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Grows with each asked-for restart; never shrinks.
    pub restart_nonce: i64,
    /// Stopped on request when false.
    pub enabled: bool,
}

// === impl ServiceWishes ===

impl ServiceWishes {
    #[must_use]
    pub fn on(&self, service: ServiceName, node: NodeId) -> Wish {
        let Some(wish) = self.0.get(&service) else {
            return Wish {
                restart_nonce: 0,
                enabled: true,
            };
        };
        let own = wish.nodes.get(&node).cloned().unwrap_or_default();
        Wish {
            restart_nonce: wish.restart_nonce + own.restart_nonce,
            enabled: own.enabled.unwrap_or(wish.enabled),
        }
    }

    /// Stops the service on one node, or on all.
    pub fn stop(&mut self, service: ServiceName, node: Option<NodeId>) {
        self.enable(service, node, false);
    }

    /// Starts the service again on one node, or on all.
    pub fn start(&mut self, service: ServiceName, node: Option<NodeId>) {
        self.enable(service, node, true);
    }

    /// Restarts the service on one node, or on all; a stopped one is started.
    pub fn restart(&mut self, service: ServiceName, node: Option<NodeId>) {
        self.enable(service, node, true);
        let wish = self.0.entry(service).or_default();
        match node {
            Some(node) => wish.nodes.entry(node).or_default().restart_nonce += 1,
            None => wish.restart_nonce += 1,
        }
    }

    /// Takes back every stop: what a start or restart of the whole cluster means.
    pub fn start_all(&mut self) {
        for wish in self.0.values_mut() {
            wish.set_enabled(true);
        }
    }

    fn enable(&mut self, service: ServiceName, node: Option<NodeId>, enabled: bool) {
        let wish = self.0.entry(service).or_default();
        match node {
            Some(node) => wish.nodes.entry(node).or_default().enabled = Some(enabled),
            None => wish.set_enabled(enabled),
        }
    }
}

// === impl ServiceWish ===

impl ServiceWish {
    fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.nodes.values_mut().for_each(|node| node.enabled = None);
    }
}

impl Default for ServiceWish {
    fn default() -> Self {
        Self {
            restart_nonce: 0,
            enabled: true,
            nodes: BTreeMap::new(),
        }
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::{ServiceWishes, Wish};
    use crate::{NodeId, ServiceName};

    const ONE: NodeId = NodeId(uuid::Uuid::from_u128(1));
    const TWO: NodeId = NodeId(uuid::Uuid::from_u128(2));

    #[test]
    fn a_service_nobody_asked_anything_of_runs() {
        let wishes = ServiceWishes::default();
        assert_eq!(
            wishes.on(ServiceName::Worker, ONE),
            Wish {
                restart_nonce: 0,
                enabled: true
            }
        );
    }

    #[test]
    fn a_wish_for_one_node_leaves_the_others_alone() {
        let mut wishes = ServiceWishes::default();
        wishes.stop(ServiceName::Worker, Some(ONE));
        wishes.restart(ServiceName::Worker, Some(TWO));
        assert_eq!(
            wishes.on(ServiceName::Worker, ONE),
            Wish {
                restart_nonce: 0,
                enabled: false
            }
        );
        assert_eq!(
            wishes.on(ServiceName::Worker, TWO),
            Wish {
                restart_nonce: 1,
                enabled: true
            }
        );
    }

    #[test]
    fn a_wish_for_all_nodes_overrides_earlier_ones_and_nonces_never_shrink() {
        let mut wishes = ServiceWishes::default();
        wishes.restart(ServiceName::Worker, Some(ONE));
        wishes.stop(ServiceName::Worker, Some(ONE));
        wishes.restart(ServiceName::Worker, None);
        assert_eq!(
            wishes.on(ServiceName::Worker, ONE),
            Wish {
                restart_nonce: 2,
                enabled: true
            }
        );
        wishes.stop(ServiceName::Worker, None);
        wishes.start_all();
        assert_eq!(
            wishes.on(ServiceName::Worker, ONE),
            Wish {
                restart_nonce: 2,
                enabled: true
            }
        );
    }

    #[test]
    fn wishes_survive_the_database() {
        let mut wishes = ServiceWishes::default();
        wishes.stop(ServiceName::Worker, Some(ONE));
        let text = serde_json::to_string(&wishes).unwrap();
        assert_eq!(serde_json::from_str::<ServiceWishes>(&text).unwrap(), wishes);
        assert!(
            serde_json::from_str::<ServiceWishes>(r#"{"worker":{"restart_nonce":3,"enabled":false}}"#)
                .is_ok()
        );
    }
}
