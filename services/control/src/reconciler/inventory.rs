//! What an account's provider lists, asked once for all who look at about the same time: a call for the account, not one for
//! each of its clusters. Whoever looks at a cluster waits for its own account alone.
//!
//! It is some seconds old. So it shows that there is nothing to do, and wakes clusters whose nodes changed; whoever is
//! about to act on what the provider says asks it anew (`Reconciler::decide`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;
use updraft_model::{ClusterId, NodeAccount};
use updraft_provider::{ListedNode, NodeProvider, NodeStatus, ProviderError, ProviderId};

/// At most this part of the time is spent on listing.
const REST: u32 = 2;
/// A tenant's account that has said nothing for so long counts as silent before its call is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// For so long nobody asks again after a failure.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

type Answer = Result<Arc<Listed>, ProviderError>;

/// The lists of this process, one for each account.
pub(super) struct Inventory {
    provider: Arc<dyn NodeProvider>,
    call_timeout: Duration,
    accounts: std::sync::Mutex<HashMap<NodeAccount, Arc<Mutex<Option<Held>>>>>,
    unanswered: std::sync::Mutex<HashMap<NodeAccount, Unanswered>>,
}

/// What an account was asked last.
struct Unanswered {
    since: Instant,
    failed: bool,
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
    answer: Answer,
}

// === impl Inventory ===

impl Inventory {
    pub(super) fn new(provider: Arc<dyn NodeProvider>, call_timeout: Duration) -> Self {
        Self {
            provider,
            call_timeout,
            accounts: std::sync::Mutex::default(),
            unanswered: std::sync::Mutex::default(),
        }
    }

    /// A list about so old at most; older where listing takes long.
    ///
    /// # Errors
    /// When the account does not answer: what it has is unknown then, and not nothing.
    pub(super) async fn at_most(&self, account: NodeAccount, age: Duration) -> Answer {
        let held = self.held(account);
        let mut held = held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| held.is_good_for(age)) {
            return held.answer.clone();
        }
        let began = Instant::now();
        let answer = self.ask(account, began).await;
        *held = Some(Held {
            ended: Instant::now(),
            took: began.elapsed(),
            answer: answer.clone(),
        });
        answer
    }

    /// Nobody has nodes there any more.
    pub(super) fn forget(&self, account: NodeAccount) {
        self.lists().remove(&account);
        self.unanswered().remove(&account);
    }

    /// Accounts that do not answer.
    pub(super) fn silent(&self) -> HashSet<NodeAccount> {
        let unanswered = self.unanswered();
        let silent = unanswered.iter().filter(|(account, asked)| {
            // The installation's own may be so large that its list takes long.
            let is_late = **account != NodeAccount::Installation && asked.since.elapsed() >= PATIENCE;
            asked.failed || is_late
        });
        silent.map(|(account, _)| *account).collect()
    }

    async fn ask(&self, account: NodeAccount, began: Instant) -> Answer {
        self.unanswered().entry(account).or_insert(Unanswered {
            since: began,
            failed: false,
        });
        let asked = timeout(self.call_timeout, self.provider.list_account(account)).await;
        let late = || ProviderError::Unclear("it does not answer when asked for its nodes".to_owned());
        match asked.unwrap_or_else(|_| Err(late())) {
            Ok(nodes) => {
                self.unanswered().remove(&account);
                Ok(Arc::new(Listed::new(began, nodes)))
            }
            Err(error) => {
                if let Some(asked) = self.unanswered().get_mut(&account) {
                    asked.failed = true;
                }
                tracing::warn!(?account, %error, "the provider does not list its nodes");
                Err(error)
            }
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, HashMap<NodeAccount, Unanswered>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, account: NodeAccount) -> Arc<Mutex<Option<Held>>> {
        Arc::clone(self.lists().entry(account).or_default())
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<NodeAccount, Arc<Mutex<Option<Held>>>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Listed ===

impl Listed {
    fn new(began: Instant, nodes: Vec<ListedNode>) -> Self {
        let mut clusters: HashMap<_, Vec<_>> = HashMap::new();
        for node in nodes {
            clusters.entry(node.cluster).or_default().push(node);
        }
        // In one order, as they are compared.
        for nodes in clusters.values_mut() {
            nodes.sort_unstable_by(|one, other| one.id.0.cmp(&other.id.0));
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
            .filter(|cluster| !states(self.of(*cluster)).eq(states(before.of(*cluster))))
            .collect()
    }
}

fn states(nodes: &[ListedNode]) -> impl Iterator<Item = (&ProviderId, NodeStatus)> {
    nodes.iter().map(|node| (&node.id, node.status))
}

// === impl Held ===

impl Held {
    fn is_good_for(&self, age: Duration) -> bool {
        let good_for = match self.answer {
            Ok(_) => age.max(self.took * REST),
            Err(_) => age.min(AFTER_A_FAILURE),
        };
        self.ended.elapsed() < good_for
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::NodeId;
    use updraft_provider::simulated::{Faults, SimulatedProvider};
    use uuid::Uuid;

    use super::*;

    const HERE: NodeAccount = NodeAccount::Installation;
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
        let all = futures::future::join_all((0..300).map(|_| inventory.at_most(HERE, LONG))).await;
        let first = all[0].as_ref().unwrap();
        assert!(all.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), first)));
        tokio::time::sleep(first.began.elapsed() * REST).await;
        let anew = inventory.at_most(HERE, Duration::ZERO).await.unwrap();
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
        assert!(inventory.at_most(HERE, Duration::ZERO).await.is_err());
        provider.set_faults(Faults::default());
        assert!(
            inventory.at_most(HERE, LONG).await.is_err(),
            "asked again at once"
        );
        assert!(inventory.at_most(HERE, Duration::ZERO).await.is_ok());
    }
}
