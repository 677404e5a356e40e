//! Which waiting agents there is something new for: those of the cluster that changed, and of no other.
//!
//! To render an assignment takes some dozen queries. So an agent that asks again for what this process rendered for it,
//! with nothing changed since, costs none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use updraft_model::{ClusterId, NodeId};

/// Counts changes, cluster by cluster.
#[derive(Default)]
pub struct News {
    clusters: Mutex<HashMap<ClusterId, Watched>>,
}

struct Watched {
    changes: watch::Sender<u64>,
    /// Which version each node was given last, and after which change it was rendered.
    given: HashMap<NodeId, (i64, u64)>,
}

// === impl News ===

impl News {
    /// Counts the cluster's changes from now on.
    #[must_use]
    pub fn of(&self, cluster: ClusterId) -> watch::Receiver<u64> {
        self.clusters().entry(cluster).or_default().changes.subscribe()
    }

    /// Something that the cluster's assignments are made of may have changed.
    pub fn changed(&self, cluster: ClusterId) {
        if let Some(watched) = self.clusters().get(&cluster) {
            watched.changed();
        }
    }

    /// The same of every cluster.
    pub fn all_changed(&self) {
        self.clusters().values().for_each(Watched::changed);
    }

    /// Whether this version was rendered for the node after that change.
    #[must_use]
    pub fn is_given(&self, (cluster, node): (ClusterId, NodeId), version: i64, change: u64) -> bool {
        let clusters = self.clusters();
        let given = clusters
            .get(&cluster)
            .and_then(|watched| watched.given.get(&node));
        given == Some(&(version, change))
    }

    /// Notes what the node was given.
    pub fn gave(&self, (cluster, node): (ClusterId, NodeId), version: i64, change: u64) {
        let mut clusters = self.clusters();
        clusters
            .entry(cluster)
            .or_default()
            .given
            .insert(node, (version, change));
    }

    /// The cluster is deleted.
    pub fn forget(&self, cluster: ClusterId) {
        self.clusters().remove(&cluster);
    }

    fn clusters(&self) -> MutexGuard<'_, HashMap<ClusterId, Watched>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Watched ===

impl Watched {
    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            changes: watch::Sender::new(0),
            given: HashMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_change_is_news_for_its_own_cluster_only() {
        let news = News::default();
        let (mut one, mut other) = (news.of(ClusterId(1)), news.of(ClusterId(2)));
        news.changed(ClusterId(1));
        assert!(one.has_changed().unwrap() && !other.has_changed().unwrap());
        one.mark_unchanged();
        news.all_changed();
        assert!(one.has_changed().unwrap() && other.has_changed().unwrap());
        other.mark_unchanged();
    }

    #[test]
    fn what_was_given_is_good_until_the_cluster_changes() {
        let news = News::default();
        let node = (ClusterId(1), NodeId(Uuid::nil()));
        let mut changes = news.of(node.0);
        let change = *changes.borrow_and_update();
        assert!(!news.is_given(node, 3, change));
        news.gave(node, 3, change);
        assert!(news.is_given(node, 3, change));
        assert!(
            !news.is_given(node, 2, change),
            "it asks for what it does not have"
        );
        news.changed(node.0);
        let change = *changes.borrow_and_update();
        assert!(!news.is_given(node, 3, change));
    }
}
