//! Buckets and identities, asked of the `up` process, which owns the embedded storage.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use updraft_control::audit_export::AuditBucket;
use updraft_model::ClusterId;
use updraft_provider::{ClusterStorage, ProviderError, StorageAccess};
use updraft_store::secrets::MasterKey;

/// What the embedded storage is called; it has no other.
const REGION: &str = "us-east-1";
/// One object of the audit log, in a minute or not at all.
const AUDIT_WITHIN: Duration = Duration::from_secs(60);

/// One line to the storage socket. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StorageRequest {
    /// The bucket is there, and this identity reaches it and nothing else.
    Ensure {
        bucket: String,
        access_key: String,
        secret_key: String,
    },
    /// Neither is there any more.
    Remove { bucket: String },
}

/// The line that comes back.
#[derive(Serialize, Deserialize)]
pub(crate) struct StorageAnswer {
    pub(crate) error: Option<String>,
}

async fn ask(socket: &Path, request: &StorageRequest) -> anyhow::Result<()> {
    let stream = UnixStream::connect(socket)
        .await
        .context("storage is not there: is `updraft up` running?")?;
    let mut stream = BufReader::new(stream);
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.get_mut().write_all(&text).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let answer: StorageAnswer = serde_json::from_str(&line).context("storage did not answer")?;
    match answer.error {
        None => Ok(()),
        Some(error) => bail!("storage refused: {error}"),
    }
}

/// The access key and secret of one cluster's bucket. Derived, so that asking twice gives the same: new ones would
/// restart every service.
#[must_use]
pub(crate) fn storage_credentials(storage_key: &MasterKey, cluster: ClusterId) -> (String, SecretString) {
    credentials(storage_key, &cluster.to_string())
}

fn credentials(storage_key: &MasterKey, whose: &str) -> (String, SecretString) {
    let derive = |what: &str| {
        let derived = storage_key.derive(&format!("storage/{what}/{whose}"));
        hex::encode(Sha256::digest(derived.expose_secret()))
    };
    (
        derive("access-key")[..20].to_uppercase(),
        derive("secret-key").into(),
    )
}

/// One bucket per cluster in the embedded storage.
pub(crate) struct EmbeddedStorage {
    pub(crate) socket: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) storage_key: Arc<MasterKey>,
}

// === impl EmbeddedStorage ===

impl EmbeddedStorage {
    fn bucket(cluster: ClusterId) -> String {
        format!("updraft-cluster-{cluster}")
    }
}

#[async_trait]
impl ClusterStorage for EmbeddedStorage {
    async fn ensure(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError> {
        let (access_key, secret_key) = storage_credentials(&self.storage_key, cluster);
        let bucket = Self::bucket(cluster);
        let request = StorageRequest::Ensure {
            bucket: bucket.clone(),
            access_key: access_key.clone(),
            secret_key: secret_key.expose_secret().to_owned(),
        };
        ask(&self.socket, &request).await.map_err(unavailable)?;
        Ok(StorageAccess {
            endpoint: self.endpoint.clone(),
            region: REGION.to_owned(),
            bucket,
            access_key,
            secret_key,
            session_token: None,
        })
    }

    async fn remove(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        ask(
            &self.socket,
            &StorageRequest::Remove {
                bucket: Self::bucket(cluster),
            },
        )
        .await
        .map_err(unavailable)
    }
}

/// The audit log's bucket in the embedded storage, made when it is first needed.
pub(crate) struct EmbeddedAuditBucket {
    pub(crate) socket: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) storage_key: Arc<MasterKey>,
}

// === impl EmbeddedAuditBucket ===

impl EmbeddedAuditBucket {
    const NAME: &str = "updraft-audit";

    async fn store(&self) -> anyhow::Result<impl ObjectStore> {
        let (access_key, secret_key) = credentials(&self.storage_key, "audit");
        let request = StorageRequest::Ensure {
            bucket: Self::NAME.to_owned(),
            access_key: access_key.clone(),
            secret_key: secret_key.expose_secret().to_owned(),
        };
        ask(&self.socket, &request).await?;
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(AUDIT_WITHIN);
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_region(REGION)
            .with_bucket_name(Self::NAME)
            .with_access_key_id(access_key)
            .with_secret_access_key(secret_key.expose_secret())
            .with_client_options(options)
            .build()?;
        Ok(store)
    }
}

#[async_trait]
impl AuditBucket for EmbeddedAuditBucket {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        let put = async {
            let store = self.store().await?;
            store.put(&key.into(), bytes.into()).await?;
            anyhow::Ok(())
        };
        put.await.map_err(|error| format!("{error:#}"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn unavailable(error: anyhow::Error) -> ProviderError {
    ProviderError::Unclear(format!("{error:#}"))
}
