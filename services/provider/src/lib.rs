#![doc = include_str!("../README.md")]

use std::time::Duration;

use async_trait::async_trait;
use updraft_model::{ClusterId, NodeAccount};

mod accounts;
pub mod contract;
mod error;
pub mod local;
mod node;
mod several;
pub mod simulated;
mod storage;

pub use accounts::{AccountCheck, AccountFault, OpenAccounts, TenantAccount};
pub use error::ProviderError;
pub use node::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, LeftVolume, ListedNode, NetworkId,
    NodeStatus, NodeWanted, ProviderId,
};
pub use several::{AccountRecords, SeveralAccounts};
pub use storage::{ClusterStorage, StorageAccess};

/// Where nodes come from. An instance serves one installation of Updraft: it tags what it makes and lists nothing else.
#[async_trait]
pub trait NodeProvider: Send + Sync {
    /// `local`, `ec2`
    fn name(&self) -> &'static str;

    /// How long after a launch [`NodeProvider::list`] may still lack the node.
    fn listing_lag(&self) -> Duration;

    /// The exact request for a node, decided once and kept: a change of settings never changes a node under way.
    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError>;

    /// Launches a node. The same token gives the same node however often it is sent, also after that node's end; with
    /// another request it is refused.
    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError>;

    /// Starts a stopped node again, as the same node at the same address. A running one is left alone.
    async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError>;

    /// Stops a node so that it can be started again.
    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError>;

    /// Whether the node of this request can stand still, as [`NodeProvider::stop`] has it, so that less is paid for it.
    fn can_stand_still(&self, _request: &LaunchRequest) -> bool {
        false
    }

    /// Ends a node for ever. One that has ended, or never was, is fine.
    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError>;

    /// This installation's nodes that have not gone, of one cluster or of all.
    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError>;

    /// Where this installation has nodes.
    async fn accounts(&self) -> Result<Vec<NodeAccount>, ProviderError> {
        Ok(vec![NodeAccount::Installation])
    }

    /// The nodes of one of [`NodeProvider::accounts`]: whoever asks for each knows which of them did not answer.
    async fn list_account(&self, _account: NodeAccount) -> Result<Vec<ListedNode>, ProviderError> {
        self.list(None).await
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError>;

    /// Why a node that was launched has ended, as far as the provider itself says: of what kind it is as a launch that failed
    /// late. None: it has not ended, or nothing is said.
    async fn why_ended(&self, _id: &ProviderId) -> Result<Option<ProviderError>, ProviderError> {
        Ok(None)
    }

    /// Disks in one of [`NodeProvider::accounts`] that outlived the nodes they were made with.
    async fn left_volumes(&self, _account: NodeAccount) -> Result<Vec<LeftVolume>, ProviderError> {
        Ok(Vec::new())
    }

    /// Deletes one of them for ever; nothing there is fine.
    async fn delete_volume(&self, _id: &ProviderId) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Whether [`NodeProvider::prepare_cluster`] does anything.
    fn prepares_clusters(&self) -> bool {
        false
    }

    /// Looks whether a cluster's nodes could be started, within seconds and before the first of them, and makes what they
    /// need where they are, if that is the cluster's own. The same cluster gets the same, however often it is asked.
    async fn prepare_cluster(&self, _wanted: &ClusterWanted) -> Result<Option<NetworkId>, ProviderError> {
        Ok(None)
    }

    /// Removes what was made for a cluster, once its nodes have gone; nothing there is fine.
    async fn forget_cluster(&self, _cluster: ClusterId) -> Result<(), ProviderError> {
        Ok(())
    }

    /// This installation's clusters for which something is there.
    async fn prepared_clusters(&self) -> Result<Vec<ClusterId>, ProviderError> {
        Ok(Vec::new())
    }
}
