//! What a cluster's nodes need where they are started: looked at and made before the first, removed after the last.
//!
//! A call that takes effect after its cluster is deleted leaves something that no record names: each sweep looks for that.

use std::collections::BTreeSet;

use updraft_model::{ClusterId, NodeAccount};
use updraft_provider::{ClusterWanted, ProviderError};
use updraft_store::known_nodes;
use updraft_store::leases::Lease;
use updraft_store::resources::{self, ResourceKind};

use super::execute::{Progress, commit};
use super::observe::View;
use super::{ReconcileError, Reconciler};

impl Reconciler {
    pub(super) async fn ensure_network(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        self.begin(lease, view, ResourceKind::Network).await?;
        let wanted = ClusterWanted {
            cluster: view.cluster.id,
            tenant: view.cluster.tenant,
            control_url: self.parts.settings.control_url.clone(),
            worker_types: worker_types(view),
        };
        let call = self.parts.provider.prepare_cluster(&wanted);
        match self.parts.answered(call).await {
            Ok(made) => {
                let made = made.as_ref().map(|network| network.0.as_str());
                let mut tx = self.fenced(lease).await?;
                resources::set_ready_as(&mut tx, view.cluster.id, ResourceKind::Network, made).await?;
                commit(tx).await?;
                Ok(Progress::Made)
            }
            Err(error) => self.network_failed(lease, view, &error).await,
        }
    }

    pub(super) async fn remove_network(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        self.begin(lease, view, ResourceKind::Network).await?;
        let call = self.parts.provider.forget_cluster(view.cluster.id);
        match self.parts.answered(call).await {
            Ok(()) => {
                let mut tx = self.fenced(lease).await?;
                resources::forget(&mut tx, view.cluster.id, ResourceKind::Network).await?;
                commit(tx).await?;
                Ok(Progress::Made)
            }
            Err(error) => self.network_failed(lease, view, &error).await,
        }
    }

    /// Removes what is there for clusters that are no more, but not while anything is held.
    pub(super) async fn sweep_networks(&self) -> Result<(), ReconcileError> {
        let prepared = match self.parts.answered(self.parts.provider.prepared_clusters()).await {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::warn!(%error, "the provider does not list what it has for clusters");
                return Ok(());
            }
        };
        // Read after the list: a cluster's record is there before anything is made for it.
        for cluster in self.not_there(&prepared).await? {
            tracing::warn!(
                cluster.id = cluster.0,
                "removing the network of a cluster that is no more"
            );
            if let Err(error) = self
                .parts
                .answered(self.parts.provider.forget_cluster(cluster))
                .await
            {
                tracing::warn!(cluster.id = cluster.0, %error, "the provider does not remove a network");
            }
        }
        Ok(())
    }

    async fn not_there(&self, prepared: &[ClusterId]) -> Result<Vec<ClusterId>, ReconcileError> {
        if prepared.is_empty() || self.is_held(NodeAccount::Installation).await? {
            return Ok(Vec::new());
        }
        let mut connection = self.parts.store.connection().await?;
        Ok(known_nodes::not_there(&mut connection, prepared).await?)
    }

    async fn network_failed(
        &self,
        lease: &Lease,
        view: &View,
        error: &ProviderError,
    ) -> Result<Progress, ReconcileError> {
        tracing::warn!(cluster.id = view.cluster.id.0, %error, "the cluster's network is not ready");
        let refused = matches!(error, ProviderError::Refused(_));
        let mut tx = self.fenced(lease).await?;
        let kind = ResourceKind::Network;
        resources::set_failed(&mut tx, view.cluster.id, kind, &error.to_string(), refused).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }
}

fn worker_types(view: &View) -> BTreeSet<String> {
    let queues = view.desired.queues.iter();
    queues.filter_map(|queue| queue.instance_type.clone()).collect()
}
