//! Buckets of an installation that runs as services: one for each cluster, and control's own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, ObjectStore as _, ObjectStoreExt as _};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::json;
use updraft_aws::{
    AssumedRole, AwsError, Bucket, Client, CredentialSource, Credentials, Place, RoleArn, SessionName,
    own_credentials,
};
use updraft_control::audit_export::AuditBucket;
use updraft_control::storage_sessions::StorageSessions;
use updraft_model::ClusterId;
use updraft_provider::{ClusterStorage, ProviderError, StorageAccess};

use super::bucket_probe::probe;
use crate::config::{BucketFile, NodeKeys, StorageFile};

/// One request, in a minute or not at all.
const WITHIN: Duration = Duration::from_secs(60);

/// A bucket that is opened with Updraft's own keys, or its machine's.
#[derive(Clone)]
pub(crate) struct ControlBucket {
    pub(super) bucket: Bucket,
    credentials: Arc<dyn CredentialSource>,
}

/// One bucket for each cluster.
pub(crate) struct InstallationStorage {
    file: StorageFile,
    credentials: Arc<dyn CredentialSource>,
    /// Where sessions for nodes come from.
    sts: Arc<Client>,
}

// === impl ControlBucket ===

impl ControlBucket {
    /// # Errors
    /// When the keys cannot be read.
    pub(crate) fn open(file: &BucketFile) -> anyhow::Result<Self> {
        Ok(Self {
            bucket: Bucket {
                name: file.bucket.clone(),
                region: file.region.clone(),
                endpoint: file.endpoint.clone(),
            },
            credentials: own_credentials(file.keys_file.as_deref())?,
        })
    }

    async fn store(&self) -> anyhow::Result<AmazonS3> {
        let credentials = self.credentials.credentials().await?;
        let options = ClientOptions::new().with_allow_http(true).with_timeout(WITHIN);
        let store = AmazonS3Builder::new()
            .with_endpoint(endpoint(&self.bucket))
            .with_region(&self.bucket.region)
            .with_bucket_name(&self.bucket.name)
            .with_access_key_id(credentials.access_key)
            .with_secret_access_key(credentials.secret_key.expose_secret())
            .with_client_options(options);
        let store = match credentials.session_token {
            Some(token) => store.with_token(token.expose_secret()),
            None => store,
        };
        Ok(store.build()?)
    }

    /// Makes the bucket. One that is somebody else's is never taken: who made it could read it.
    async fn ensure(&self) -> anyhow::Result<()> {
        let region = &self.bucket.region;
        // Another place than this one has to be named (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>).
        let asked = match self.bucket.endpoint.is_none() && region != "us-east-1" {
            true => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
                 </LocationConstraint></CreateBucketConfiguration>"
            ),
            false => String::new(),
        };
        let (status, said) = self.ask(Method::PUT, asked).await?;
        let is_ours = said.contains("BucketAlreadyOwnedByYou") || self.bucket.endpoint.is_some();
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::CONFLICT if is_ours => Ok(()),
            _ => bail!(
                "the bucket {} could not be made: {}",
                self.bucket.name,
                code(status, &said)
            ),
        }
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let (found, _) = self.ask(Method::HEAD, String::new()).await?;
        if found == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let store = self.store().await?;
        let all = store.list(None).map_ok(|object| object.location).boxed();
        store.delete_stream(all).try_collect::<Vec<_>>().await?;
        match self.ask(Method::DELETE, String::new()).await? {
            (StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::NOT_FOUND, _) => Ok(()),
            (status, said) => bail!("the bucket {} stays: {}", self.bucket.name, code(status, &said)),
        }
    }

    async fn ask(&self, method: Method, body: String) -> anyhow::Result<(StatusCode, String)> {
        let credentials = self.credentials.credentials().await?;
        let span = (SystemTime::now(), WITHIN);
        let address = self.bucket.own_address(&method, &credentials, span)?;
        let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build()?;
        answer(client.request(method, address).body(body)).await
    }

    /// The same about one of its settings.
    pub(super) async fn setting(
        &self,
        method: &Method,
        name: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, String)> {
        let credentials = self.credentials.credentials().await?;
        let request = self
            .bucket
            .setting(method, name, body, &credentials, SystemTime::now())?;
        let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build()?;
        let request = reqwest::Request::try_from(request)?;
        answer(reqwest::RequestBuilder::from_parts(client, request)).await
    }
}

#[async_trait]
impl AuditBucket for ControlBucket {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        let put = async {
            let store = self.store().await?;
            store.put(&key.into(), bytes.into()).await?;
            anyhow::Ok(())
        };
        put.await.map_err(|error| format!("{error:#}"))
    }
}

// === impl InstallationStorage ===

impl InstallationStorage {
    /// # Errors
    /// When the keys cannot be read.
    pub(crate) fn open(file: &StorageFile) -> anyhow::Result<Self> {
        let credentials = own_credentials(file.keys_file.as_deref())?;
        let place = Place {
            region: file.region.clone(),
            endpoint: file.endpoint.clone(),
        };
        Ok(Self {
            file: file.clone(),
            sts: Arc::new(Client::new(place, credentials.clone())?),
            credentials,
        })
    }

    /// For people, with places to be filled in.
    pub(crate) fn location(&self) -> String {
        format!("s3://{}{{cluster}}/{{prefix}}", self.file.bucket_prefix)
    }

    fn of(&self, cluster: ClusterId) -> ControlBucket {
        ControlBucket {
            bucket: Bucket {
                name: format!("{}{cluster}", self.file.bucket_prefix),
                region: self.file.region.clone(),
                endpoint: self.file.endpoint.clone(),
            },
            credentials: self.credentials.clone(),
        }
    }

    /// Whether what nodes are given ends.
    pub(crate) fn has_sessions(&self) -> bool {
        matches!(self.file.node_keys, NodeKeys::Role(_))
    }

    async fn for_nodes(&self, cluster: ClusterId, bucket: &str) -> Result<Credentials, AwsError> {
        match &self.file.node_keys {
            NodeKeys::Shared => self.credentials.credentials().await,
            NodeKeys::Role(role) => {
                let session = SessionName::of(&format!("cluster-{cluster}"));
                AssumedRole::new(self.sts.clone(), role.clone(), None, session)
                    .limited_by(one_bucket(role, bucket))
                    .credentials()
                    .await
            }
        }
    }

    async fn access(&self, cluster: ClusterId) -> anyhow::Result<StorageAccess> {
        let own = self.of(cluster);
        let Credentials {
            access_key,
            secret_key,
            session_token,
            ..
        } = self.for_nodes(cluster, &own.bucket.name).await?;
        Ok(StorageAccess {
            endpoint: endpoint(&own.bucket),
            region: own.bucket.region,
            bucket: own.bucket.name,
            access_key,
            secret_key,
            session_token,
        })
    }
}

#[async_trait]
impl ClusterStorage for InstallationStorage {
    async fn ensure(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError> {
        let bucket = self.of(cluster);
        bucket.ensure().await.map_err(unavailable)?;
        // Elsewhere this is the store's operator's: one on a network of its own may have no TLS, nor a key to encrypt with, and would
        // refuse every write then (SeaweedFS does both).
        if self.file.is_at_aws() {
            bucket.settle().await;
        }
        let access = self.access(cluster).await.map_err(unavailable)?;
        probe(&access).await.map_err(unavailable)?;
        Ok(access)
    }

    async fn remove(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        self.of(cluster).remove().await.map_err(unavailable)
    }
}

#[async_trait]
impl StorageSessions for InstallationStorage {
    async fn open(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError> {
        self.access(cluster).await.map_err(unavailable)
    }
}

/// What nodes do there: everything with objects, and nothing with the bucket.
fn one_bucket(role: &RoleArn, bucket: &str) -> String {
    let role = role.to_string();
    let partition = role.split(':').nth(1).unwrap_or("aws");
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
                "Resource": format!("{bucket}/*"),
            },
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
        ],
    })
    .to_string()
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(StatusCode, String)> {
    // The address is as good as the keys.
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let said = answer.text().await.map_err(reqwest::Error::without_url)?;
    Ok((status, said))
}

fn endpoint(bucket: &Bucket) -> String {
    let of_aws = || format!("https://s3.{}.amazonaws.com", bucket.region);
    let given = bucket.endpoint.as_ref();
    given.map_or_else(of_aws, |url| url.as_str().trim_end_matches('/').to_owned())
}

/// `403 AccessDenied`
pub(super) fn code(status: StatusCode, said: &str) -> String {
    let named = said
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    format!("{} {}", status.as_u16(), named.map_or("", |(code, _)| code))
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn unavailable(error: anyhow::Error) -> ProviderError {
    ProviderError::Unclear(format!("{error:#}"))
}

#[cfg(test)]
#[path = "buckets_tests.rs"]
mod tests;
