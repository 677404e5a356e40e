//! Disks that outlive the machine they were made with, because somebody changed it by hand: each sweep deletes those of nodes
//! that are on record as gone. What no record names is left alone.

use std::collections::HashSet;

use updraft_model::NodeAccount;
use updraft_store::nodes;

use super::{ReconcileError, Reconciler};

impl Reconciler {
    /// Not while the account is held.
    pub(super) async fn sweep_volumes(&self, account: NodeAccount) -> Result<(), ReconcileError> {
        let left = match self
            .parts
            .answered(self.parts.provider.left_volumes(account))
            .await
        {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "the provider does not list volumes");
                return Ok(());
            }
        };
        if left.is_empty() || self.is_held(account).await? {
            return Ok(());
        }
        let of: Vec<_> = left.iter().map(|volume| volume.node).collect();
        let mut connection = self.parts.store.connection().await?;
        let gone: HashSet<_> = nodes::gone(&mut connection, &of).await?.into_iter().collect();
        drop(connection);
        for volume in left.iter().filter(|volume| gone.contains(&volume.node)) {
            let (cluster, id) = (volume.cluster.0, &volume.id);
            tracing::warn!(cluster.id = cluster, provider.id = %id, "deleting the volume of a node that is gone");
            if let Err(error) = self.parts.answered(self.parts.provider.delete_volume(id)).await {
                tracing::warn!(cluster.id = cluster, provider.id = %id, %error, "the provider does not delete a volume");
            }
        }
        Ok(())
    }
}
