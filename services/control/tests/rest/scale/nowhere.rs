//! Places and storage that nobody goes to.

use async_trait::async_trait;
use secrecy::SecretString;
use updraft_control::assignments::Places;
use updraft_control::environments::EnvironmentBuckets;
use updraft_model::{ClusterId, NodeId};
use updraft_provider::{ClusterStorage, ProviderError, StorageAccess};

pub(super) struct Nowhere;

impl Places for Nowhere {
    fn node_dir(&self, node: NodeId) -> String {
        format!("/var/lib/updraft/{node}")
    }

    fn shared_dir(&self, cluster: ClusterId) -> String {
        format!("/var/lib/updraft/cluster-{cluster}")
    }

    fn environment_dir(&self, runtime: &str) -> Option<String> {
        Some(format!("/opt/updraft/{runtime}"))
    }

    fn environments_dir(&self, cluster: ClusterId) -> String {
        format!("/var/lib/updraft/environments-{cluster}")
    }

    fn uv_binary(&self) -> String {
        "/opt/updraft/uv".to_owned()
    }

    fn package_index(&self) -> Option<String> {
        None
    }

    fn forget(&self, _: ClusterId) {}

    fn broker_binary(&self) -> String {
        "/opt/updraft/valkey-server".to_owned()
    }

    fn template_database(&self, runtime: &str) -> String {
        format!("template_{runtime}")
    }
}

#[async_trait]
impl ClusterStorage for Nowhere {
    async fn ensure(&self, _: ClusterId) -> Result<StorageAccess, ProviderError> {
        Err(ProviderError::Refused("there is none".to_owned()))
    }

    async fn remove(&self, _: ClusterId) -> Result<(), ProviderError> {
        Ok(())
    }
}

#[async_trait]
impl EnvironmentBuckets for Nowhere {
    async fn offer(&self, _: &StorageAccess, _: &str, _: u64) -> Result<Option<SecretString>, String> {
        Ok(None)
    }
}
