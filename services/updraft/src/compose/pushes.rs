//! The way into clusters' buckets, each with that cluster's own access: pushed DAGs in, logs and environments out.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_agent::dags::foreign_bucket;
use updraft_api::agent::KeyPair;
use updraft_app::{LogBuckets, PushBucket};
use updraft_control::environments::EnvironmentBuckets;
use updraft_provider::StorageAccess;
use updraft_sso::outbound::Outbound;

/// One request, in a minute or not at all.
const WITHIN: Duration = Duration::from_secs(60);
/// A request for logs.
const LOGS_WITHIN: Duration = Duration::from_secs(15);
/// An environment is fetched at once.
const OFFERED_FOR: Duration = Duration::from_secs(600);
const PART: usize = 8 << 20;

/// Tenants' own are reached by the outbound policy.
pub(crate) struct ClusterBuckets {
    pub(crate) outbound: Outbound,
}

#[async_trait]
impl PushBucket for ClusterBuckets {
    async fn put_file(&self, access: &StorageAccess, key: &str, file: File) -> Result<(), String> {
        in_parts(access, &key.into(), file).await.map_err(words)
    }

    async fn put(&self, access: &StorageAccess, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        let put = async {
            store(access)?.put(&key.into(), bytes.into()).await?;
            anyhow::Ok(())
        };
        put.await.map_err(words)
    }
}

#[async_trait]
impl EnvironmentBuckets for ClusterBuckets {
    async fn offer(
        &self,
        access: &StorageAccess,
        key: &str,
        bytes: u64,
    ) -> Result<Option<SecretString>, String> {
        let offer = async {
            let (store, key) = (store(access)?, key.into());
            match store.head(&key).await {
                Ok(found) if found.size == bytes => {}
                Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            let url = store.signed_url(reqwest::Method::GET, &key, OFFERED_FOR).await?;
            anyhow::Ok(Some(SecretString::from(url.to_string())))
        };
        offer.await.map_err(words)
    }
}

impl LogBuckets for ClusterBuckets {
    fn open(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        // Somebody waits for the answer.
        let retry = RetryConfig {
            max_retries: 2,
            retry_timeout: LOGS_WITHIN,
            ..RetryConfig::default()
        };
        let store = builder(access, LOGS_WITHIN).with_retry(retry).build();
        let store = store.map_err(|error| words(error.into()))?;
        Ok(Arc::new(store))
    }

    fn open_foreign(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        let place = (
            Some(access.endpoint.as_str()),
            access.region.as_str(),
            access.bucket.as_str(),
        );
        let keys = KeyPair {
            access_key: access.access_key.clone(),
            secret_key: access.secret_key.clone(),
            session_token: access.session_token.clone(),
        };
        foreign_bucket(place, Some(&keys), &self.outbound).map_err(|error| error.to_string())
    }
}

/// In memory there is one part at a time.
async fn in_parts(access: &StorageAccess, key: &Path, mut file: File) -> anyhow::Result<()> {
    let store = store(access)?;
    let first = part(&mut file).await?;
    if first.len() < PART {
        store.put(key, first.into()).await?;
        return Ok(());
    }
    let mut upload = store.put_multipart(key).await?;
    let mut next = first;
    while !next.is_empty() {
        if let Err(error) = upload.put_part(next.into()).await {
            let _ = upload.abort().await;
            return Err(error.into());
        }
        next = part(&mut file).await?;
    }
    upload.complete().await?;
    Ok(())
}

async fn part(file: &mut File) -> anyhow::Result<Vec<u8>> {
    let file = file.try_clone()?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.take(u64::try_from(PART).unwrap_or(u64::MAX))
            .read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    read.await
        .context("a thread died")?
        .context("a received archive cannot be read")
}

fn store(access: &StorageAccess) -> anyhow::Result<AmazonS3> {
    Ok(builder(access, WITHIN).build()?)
}

fn builder(access: &StorageAccess, within: Duration) -> AmazonS3Builder {
    let options = ClientOptions::new().with_allow_http(true).with_timeout(within);
    let builder = AmazonS3Builder::new()
        .with_endpoint(&access.endpoint)
        .with_region(&access.region)
        .with_bucket_name(&access.bucket)
        .with_access_key_id(&access.access_key)
        .with_secret_access_key(access.secret_key.expose_secret())
        .with_client_options(options);
    match &access.session_token {
        Some(token) => builder.with_token(token.expose_secret()),
        None => builder,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn words(error: anyhow::Error) -> String {
    format!("{error:#}")
}
