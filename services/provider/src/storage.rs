//! Where a cluster's DAGs and logs go.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use updraft_model::ClusterId;

use crate::ProviderError;

/// A bucket of the cluster's own, with credentials that open nothing else.
#[async_trait]
pub trait ClusterStorage: Send + Sync {
    /// Makes bucket and credentials, or completes what an earlier call left half done. The same cluster gets the same
    /// bucket; credentials may be new.
    async fn ensure(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError>;

    /// Removes credentials, bucket and everything in it; none there is fine.
    async fn remove(&self, cluster: ClusterId) -> Result<(), ProviderError>;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageAccess {
    /// `http://127.0.0.1:7705`
    pub endpoint: String,
    /// `us-east-1`
    #[serde(default = "region")]
    pub region: String,
    pub bucket: String,
    pub access_key: String,
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// Of keys that end by themselves.
    #[serde(
        default,
        serialize_with = "expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_token: Option<SecretString>,
}

/// What was kept before regions were.
fn region() -> String {
    "us-east-1".to_owned()
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn expose_some<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose(secret, serializer),
        None => serializer.serialize_none(),
    }
}
