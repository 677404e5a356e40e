//! What the provider lists, asked once for all who look at about the same time: a call for the installation, not one for
//! each of its clusters.
//!
//! It is some seconds old. So it shows that there is nothing to do, and wakes clusters whose nodes changed; whoever is
//! about to act on what the provider says asks it anew (`Reconciler::decide`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;
use updraft_model::ClusterId;
use updraft_provider::{ListedNode, NodeProvider, ProviderId};

/// At most this part of the time is spent on listing.
const REST: u32 = 2;
/// For so long nobody asks again after a failure.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// The one list of this process.
pub(super) struct Inventory {
    provider: Arc<dyn NodeProvider>,
    call_timeout: Duration,
    held: Mutex<Option<Held>>,
}

/// All nodes at one moment.
pub(super) struct Listed {
    /// Before the provider was asked.
    pub(super) began: Instant,
    clusters: HashMap<ClusterId, Vec<ListedNode>>,
}

struct Held {
    ended: Instant,
    took: Duration,
    /// None: the provider did not answer.
    listed: Option<Arc<Listed>>,
}

// === impl Inventory ===

impl Inventory {
    pub(super) fn new(provider: Arc<dyn NodeProvider>, call_timeout: Duration) -> Self {
        Self {
            provider,
            call_timeout,
            held: Mutex::default(),
        }
    }

    /// A list about so old at most; older where listing takes long. None: the provider does not answer.
    pub(super) async fn at_most(&self, age: Duration) -> Option<Arc<Listed>> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| held.is_good_for(age)) {
            return held.listed.clone();
        }
        let began = Instant::now();
        let listed = self.ask(began).await.map(Arc::new);
        *held = Some(Held {
            ended: Instant::now(),
            took: began.elapsed(),
            listed: listed.clone(),
        });
        listed
    }

    async fn ask(&self, began: Instant) -> Option<Listed> {
        match timeout(self.call_timeout, self.provider.list(None)).await {
            Ok(Ok(nodes)) => Some(Listed::new(began, nodes)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the provider does not list its nodes");
                None
            }
            Err(_) => {
                tracing::warn!("the provider does not answer when asked for its nodes");
                None
            }
        }
    }
}

// === impl Listed ===

impl Listed {
    fn new(began: Instant, nodes: Vec<ListedNode>) -> Self {
        let mut clusters: HashMap<_, Vec<_>> = HashMap::new();
        for node in nodes {
            clusters.entry(node.cluster).or_default().push(node);
        }
        Self { began, clusters }
    }

    pub(super) fn of(&self, cluster: ClusterId) -> &[ListedNode] {
        self.clusters.get(&cluster).map_or(&[], Vec::as_slice)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &ListedNode> {
        self.clusters.values().flatten()
    }

    /// Clusters of which another node is listed than before, or one in another state.
    pub(super) fn changed_since(&self, before: &Self) -> HashSet<ClusterId> {
        let clusters = self.clusters.keys().chain(before.clusters.keys());
        clusters
            .copied()
            .filter(|cluster| states(self.of(*cluster)) != states(before.of(*cluster)))
            .collect()
    }
}

fn states(nodes: &[ListedNode]) -> HashMap<&ProviderId, updraft_provider::NodeStatus> {
    nodes.iter().map(|node| (&node.id, node.status)).collect()
}

// === impl Held ===

impl Held {
    fn is_good_for(&self, age: Duration) -> bool {
        let good_for = match self.listed {
            Some(_) => age.max(self.took * REST),
            None => age.min(AFTER_A_FAILURE),
        };
        self.ended.elapsed() < good_for
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::NodeId;
    use updraft_provider::NodeStatus;
    use updraft_provider::simulated::{Faults, SimulatedProvider};
    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// Each cluster's node, which is as it says.
    fn listed(nodes: &[(i64, NodeStatus)]) -> Listed {
        let node = |(cluster, status): &(i64, NodeStatus)| ListedNode {
            id: ProviderId(format!("sim-{cluster}")),
            cluster: ClusterId(*cluster),
            node: NodeId(Uuid::from_u128(cluster.unsigned_abs().into())),
            address: [10, 0, 0, 1].into(),
            status: *status,
        };
        Listed::new(Instant::now(), nodes.iter().map(node).collect())
    }

    fn inventory(provider: &Arc<SimulatedProvider>) -> Inventory {
        Inventory::new(Arc::clone(provider) as _, LONG)
    }

    #[tokio::test]
    async fn hundreds_who_ask_at_once_get_one_list() {
        let inventory = inventory(&Arc::new(SimulatedProvider::perfect()));
        let all = futures::future::join_all((0..300).map(|_| inventory.at_most(LONG))).await;
        let first = all[0].as_ref().unwrap();
        assert!(all.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), first)));
        tokio::time::sleep(first.began.elapsed() * REST).await;
        let anew = inventory.at_most(Duration::ZERO).await.unwrap();
        assert!(!Arc::ptr_eq(&anew, first));
    }

    #[test]
    fn only_clusters_whose_nodes_changed_have_changed() {
        use NodeStatus::{Running, Stopped};
        let before = listed(&[(1, Running), (2, Running), (3, Running)]);
        let after = listed(&[(2, Stopped), (3, Running), (4, Running)]);
        assert_eq!(after.changed_since(&before), [1, 2, 4].map(ClusterId).into());
        assert!(after.changed_since(&after).is_empty());
    }

    #[tokio::test]
    async fn a_provider_that_does_not_answer_has_no_list_and_is_not_asked_by_everybody() {
        let provider = Arc::new(SimulatedProvider::perfect());
        let inventory = inventory(&provider);
        provider.set_faults(Faults {
            throttled: 100,
            ..Faults::default()
        });
        assert!(inventory.at_most(Duration::ZERO).await.is_none());
        provider.set_faults(Faults::default());
        assert!(inventory.at_most(LONG).await.is_none(), "asked again at once");
        assert!(inventory.at_most(Duration::ZERO).await.is_some());
    }
}
