//! Provider and storage of a driver that may die before and after each call that changes something.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use updraft_model::{ClusterId, NodeAccount};
use updraft_provider::{
    BootSecret, ClientToken, ClusterStorage, ClusterWanted, LaunchRequest, Launched, LeftVolume, ListedNode,
    NetworkId, NodeProvider, NodeStatus, NodeWanted, ProviderError, ProviderId, StorageAccess,
};

use super::boundaries::Boundaries;

pub(super) struct Mortal<T> {
    pub(super) inner: Arc<T>,
    pub(super) boundaries: Arc<Boundaries>,
}

#[async_trait]
impl<T: NodeProvider> NodeProvider for Mortal<T> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn listing_lag(&self) -> Duration {
        self.inner.listing_lag()
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        self.inner.prepare(wanted).await
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        let call = self.inner.launch(request, token, boot);
        self.boundaries.around("provider: launch", call).await
    }

    async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError> {
        let call = self.inner.start(id, boot);
        self.boundaries.around("provider: start", call).await
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.boundaries
            .around("provider: stop", self.inner.stop(id))
            .await
    }

    fn can_stand_still(&self, request: &LaunchRequest) -> bool {
        self.inner.can_stand_still(request)
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let call = self.inner.terminate(id);
        self.boundaries.around("provider: terminate", call).await
    }

    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        self.inner.list(cluster).await
    }

    async fn accounts(&self) -> Result<Vec<NodeAccount>, ProviderError> {
        self.inner.accounts().await
    }

    async fn list_account(&self, account: NodeAccount) -> Result<Vec<ListedNode>, ProviderError> {
        self.inner.list_account(account).await
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        self.inner.describe(id).await
    }

    async fn why_ended(&self, id: &ProviderId) -> Result<Option<ProviderError>, ProviderError> {
        self.inner.why_ended(id).await
    }

    async fn left_volumes(&self, account: NodeAccount) -> Result<Vec<LeftVolume>, ProviderError> {
        self.inner.left_volumes(account).await
    }

    async fn delete_volume(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let call = self.inner.delete_volume(id);
        self.boundaries.around("provider: delete a volume", call).await
    }

    fn prepares_clusters(&self) -> bool {
        self.inner.prepares_clusters()
    }

    async fn prepare_cluster(&self, wanted: &ClusterWanted) -> Result<Option<NetworkId>, ProviderError> {
        let call = self.inner.prepare_cluster(wanted);
        self.boundaries.around("provider: make a network", call).await
    }

    async fn forget_cluster(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        let call = self.inner.forget_cluster(cluster);
        self.boundaries.around("provider: remove a network", call).await
    }

    async fn prepared_clusters(&self) -> Result<Vec<ClusterId>, ProviderError> {
        self.inner.prepared_clusters().await
    }
}

#[async_trait]
impl<T: ClusterStorage> ClusterStorage for Mortal<T> {
    async fn ensure(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError> {
        let call = self.inner.ensure(cluster);
        self.boundaries.around("storage: make", call).await
    }

    async fn remove(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        let call = self.inner.remove(cluster);
        self.boundaries.around("storage: remove", call).await
    }
}
