//! Compares the provider's whole list with the records, for ever: nothing is leaked, ever.
//!
//! Live clusters look after their own strays; what is left are nodes of deleted clusters, whose launch took effect after
//! everything was removed. A node of a cluster that no record names tells of a database older than the world: it is
//! reported and left alone.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use updraft_provider::{ListedNode, NodeStatus};
use updraft_store::leases;

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

    pub(super) async fn sweep(&self) -> Result<(), ReconcileError> {
        let Ok(Ok(listed)) = timeout(self.parts.settings.call_timeout, self.parts.provider.list(None)).await
        else {
            return Ok(());
        };
        for node in listed.iter().filter(|node| node.status != NodeStatus::Ending) {
            let mut connection = self.parts.store.connection().await?;
            match leases::is_deleted(&mut connection, node.cluster).await? {
                Some(false) => {}
                Some(true) => self.end_stray(node).await,
                None => tracing::error!(
                    cluster.id = node.cluster.0, provider.id = %node.id,
                    "the provider has a node of a cluster that no record names: was the database restored?"
                ),
            }
        }
        Ok(())
    }

    async fn end_stray(&self, node: &ListedNode) {
        tracing::warn!(cluster.id = node.cluster.0, provider.id = %node.id, "ending a node of a deleted cluster");
        if let Err(error) = self.parts.provider.terminate(&node.id).await {
            tracing::warn!(provider.id = %node.id, %error, "the provider does not end a node");
        }
    }
}
