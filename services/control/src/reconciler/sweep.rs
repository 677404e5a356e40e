//! Compares the provider's whole list with the records, for ever: nothing is leaked, ever, and no change is missed.
//!
//! Clusters of which the two differ are woken, and look after their own. What is left are nodes of deleted clusters, whose
//! launch took effect after everything was removed. A node that no record names tells of a database older than the
//! world: from then on nothing is ended until an operator confirms it (`hold`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use updraft_model::{ClusterId, NodeAccount, NodeId};
use updraft_provider::{ListedNode, NodeStatus};
use updraft_store::known_nodes::{self, KnownNode};
use updraft_store::nodes;

use super::inventory::Listed;
use super::{ReconcileError, Reconciler};

impl Reconciler {
    pub(super) async fn sweep_for_ever(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::error!(error = ?error, "the sweep failed");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.parts.settings.sweep) => {}
            }
        }
    }

    /// Each account by itself: one that does not answer is unknown, and no other one waits for it longer than for a call.
    async fn sweep(&self) -> Result<(), ReconcileError> {
        let accounts = self.accounts().await?;
        let swept = accounts.into_iter().map(async |account| {
            self.sweep_account(account).await?;
            self.sweep_volumes(account).await
        });
        join_all(swept).await.into_iter().collect::<Result<(), _>>()?;
        match self.parts.provider.prepares_clusters() {
            true => self.sweep_networks().await,
            false => Ok(()),
        }
    }

    pub(super) async fn sweep_account(&self, account: NodeAccount) -> Result<(), ReconcileError> {
        let Ok(listed) = self.inventory.at_most(account, self.parts.settings.watch).await else {
            return Ok(());
        };
        // Read after the list: a node that was launched meanwhile had its record before.
        let mut connection = self.parts.store.connection().await?;
        let mut known = known_nodes::live(&mut connection).await?;
        drop(connection);
        known.retain(|known| known.account == account);
        let strangers = strangers(&listed, &known);
        self.hold_if_restored(&strangers).await?;
        self.note_compared(account);
        self.wake(differing(&listed, &known, &strangers)).await?;
        self.end_strays(account, &strangers).await
    }

    /// Whether this process has compared the account's list with all records: before that it ends nothing there.
    pub(super) fn has_compared(&self, account: NodeAccount) -> bool {
        self.compared().contains(&account)
    }

    fn note_compared(&self, account: NodeAccount) {
        self.compared().insert(account);
    }

    fn compared(&self) -> MutexGuard<'_, HashSet<NodeAccount>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends nodes of deleted clusters, but not while the account is held.
    async fn end_strays(
        &self,
        account: NodeAccount,
        strangers: &[&ListedNode],
    ) -> Result<(), ReconcileError> {
        if strangers.is_empty() || self.is_held(account).await? {
            return Ok(());
        }
        let clusters: Vec<_> = strangers.iter().map(|node| node.cluster).collect();
        let mut connection = self.parts.store.connection().await?;
        let deleted = known_nodes::of_deleted(&mut connection, &clusters).await?;
        drop(connection);
        for node in strangers.iter().filter(|node| deleted.contains(&node.cluster)) {
            tracing::warn!(cluster.id = node.cluster.0, provider.id = %node.id, "ending a node of a deleted cluster");
            self.end_at_provider(&node.id).await;
        }
        Ok(())
    }

    /// Which of these nodes no record has ever named.
    pub(super) async fn unrecorded<'a>(
        &self,
        nodes: &[&'a ListedNode],
    ) -> Result<Vec<&'a ListedNode>, ReconcileError> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.node).collect();
        let mut connection = self.parts.store.connection().await?;
        let recorded: HashSet<_> = nodes::recorded(&mut connection, &ids)
            .await?
            .into_iter()
            .collect();
        let unrecorded = nodes.iter().filter(|node| !recorded.contains(&node.node));
        Ok(unrecorded.copied().collect())
    }
}

/// Listed nodes that are on no live record.
fn strangers<'a>(listed: &'a Listed, known: &[KnownNode]) -> Vec<&'a ListedNode> {
    let known: HashMap<_, _> = known.iter().map(|known| (known.id, known)).collect();
    let is_known = |node: &ListedNode| {
        known
            .get(&node.node)
            .is_some_and(|known| known.provider_id.as_ref().is_none_or(|id| *id == node.id.0))
    };
    let there = listed.nodes().filter(|node| node.status != NodeStatus::Ending);
    there.filter(|node| !is_known(node)).collect()
}

/// Clusters that have a node they should not have, or not one that they should.
fn differing(listed: &Listed, known: &[KnownNode], strangers: &[&ListedNode]) -> HashSet<ClusterId> {
    let up: HashSet<_> = listed
        .nodes()
        .filter(|node| node.status == NodeStatus::Pending || node.status.is_up())
        .map(|node| node.node)
        .collect();
    let missing = known
        .iter()
        .filter(|known| known.is_launched && !up.contains(&known.id));
    let strange = strangers.iter().map(|node| node.cluster);
    missing.map(|known| known.cluster).chain(strange).collect()
}
