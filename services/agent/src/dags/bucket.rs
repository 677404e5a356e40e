//! The object store: the source's objects, and the versions made of them.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, RetryConfig, UpdateVersion, WriteMultipart,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use updraft_api::agent::{DagDelivery, SourceFrom};

use super::digest::Digest;
use crate::error::{Error, Result};

const REQUEST_WITHIN: Duration = Duration::from_secs(30);
const PART: usize = 8 << 20;

/// One cluster's place in the object store.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    source: Path,
    versions: Path,
}

/// The object `current`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Current {
    pub(super) digest: Digest,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// One object of the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceObject {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) tag: String,
}

// === impl Bucket ===

impl Bucket {
    /// # Errors
    /// When the delivery's endpoint makes no sense.
    pub fn connect(delivery: &DagDelivery) -> Result<Self> {
        let retry = RetryConfig {
            max_retries: 2,
            retry_timeout: Duration::from_secs(10),
            ..RetryConfig::default()
        };
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(REQUEST_WITHIN)
            .with_connect_timeout(Duration::from_secs(5));
        let store = AmazonS3Builder::new()
            .with_endpoint(&delivery.endpoint)
            .with_region("us-east-1")
            .with_bucket_name(&delivery.bucket)
            .with_access_key_id(&delivery.access_key)
            .with_secret_access_key(delivery.secret_key.expose_secret())
            .with_client_options(options)
            .with_retry(retry)
            .build()
            .map_err(Error::store("be set up"))?;
        let prefix = delivery.sources.iter().find_map(|source| match &source.from {
            SourceFrom::ClusterBucket { prefix } => Some(prefix.as_str()),
            _ => None,
        });
        let prefix = prefix.unwrap_or("dags/");
        Ok(Self::new(Arc::new(store), prefix, &delivery.versions_prefix))
    }

    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, source_prefix: &str, versions_prefix: &str) -> Self {
        Self {
            store,
            source: Path::from(source_prefix),
            versions: Path::from(versions_prefix),
        }
    }

    /// The source's objects, sorted by path.
    pub(super) async fn list(&self) -> Result<Vec<SourceObject>> {
        let metas: Vec<ObjectMeta> = self
            .store
            .list(Some(&self.source))
            .try_collect()
            .await
            .map_err(Error::store("list the DAG source"))?;
        let mut objects: Vec<_> = metas
            .into_iter()
            .filter_map(|meta| self.source_object(meta))
            .collect();
        objects.sort();
        Ok(objects)
    }

    /// An object as it was listed; refused when it has changed since.
    pub(super) async fn read(&self, object: &SourceObject) -> Result<Bytes> {
        let options = GetOptions {
            if_match: Some(object.tag.clone()),
            ..GetOptions::default()
        };
        let location = self.location(&object.path);
        let answer = self
            .store
            .get_opts(&location, options)
            .await
            .map_err(Error::store("read a DAG file"))?;
        answer.bytes().await.map_err(Error::store("read a DAG file"))
    }

    /// The current version and its tag; `None` when none was published.
    pub(super) async fn current(&self) -> Result<Option<(Current, Option<String>)>> {
        self.current_unless(None).await
    }

    /// The current version if its tag is not `known` any more.
    pub(super) async fn current_unless(
        &self,
        known: Option<String>,
    ) -> Result<Option<(Current, Option<String>)>> {
        let options = GetOptions {
            if_none_match: known,
            ..GetOptions::default()
        };
        let answer = match self
            .store
            .get_opts(&self.versions.clone().join("current"), options)
            .await
        {
            Ok(answer) => answer,
            Err(StoreError::NotFound { .. } | StoreError::NotModified { .. }) => return Ok(None),
            Err(error) => return Err(Error::store("read the current DAG version")(error)),
        };
        let tag = answer.meta.e_tag.clone();
        let bytes = answer
            .bytes()
            .await
            .map_err(Error::store("read the current DAG version"))?;
        let current = serde_json::from_slice(&bytes)
            .map_err(|_| Error::Dags("the object `current` names no DAG version".to_owned()))?;
        Ok(Some((current, tag)))
    }

    pub(super) async fn has(&self, digest: &Digest) -> Result<bool> {
        match self.store.head(&self.archive(digest)).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::store("look for a DAG version")(error)),
        }
    }

    pub(super) async fn upload(&self, digest: &Digest, archive: &FilePath) -> Result<()> {
        let failed = || Error::store("publish a DAG version");
        let unreadable = || Error::file("read", archive);
        let mut file = tokio::fs::File::open(archive).await.map_err(unreadable())?;
        let length = file.metadata().await.map_err(unreadable())?.len();
        if length <= PART as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(unreadable())?;
            self.store
                .put(&self.archive(digest), bytes.into())
                .await
                .map_err(failed())?;
            return Ok(());
        }
        let upload = self
            .store
            .put_multipart(&self.archive(digest))
            .await
            .map_err(failed())?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).await.map_err(unreadable())?;
            if read == 0 {
                break;
            }
            writer.wait_for_capacity(4).await.map_err(failed())?;
            writer.write(&buffer[..read]);
        }
        writer.finish().await.map(|_| ()).map_err(failed())
    }

    /// Makes a version current, unless somebody else was faster.
    pub(super) async fn set_current(&self, current: &Current, before: Option<Option<String>>) -> Result<()> {
        let mode = match before {
            None => PutMode::Create,
            Some(Some(tag)) => PutMode::Update(UpdateVersion {
                e_tag: Some(tag),
                version: None,
            }),
            Some(None) => PutMode::Overwrite,
        };
        let bytes = serde_json::to_vec(current)
            .map_err(|_| Error::Dags("the current version can't be written down".to_owned()))?;
        let location = self.versions.clone().join("current");
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        self.store
            .put_opts(&location, bytes.into(), options)
            .await
            .map(|_| ())
            .map_err(Error::store("make a DAG version current"))
    }

    /// Downloads a version's archive into a file.
    pub(super) async fn download(&self, digest: &Digest, archive: &FilePath) -> Result<()> {
        use tokio::io::AsyncWriteExt as _;
        let failed = || Error::store("fetch a DAG version");
        let answer = self.store.get(&self.archive(digest)).await.map_err(failed())?;
        let mut stream = answer.into_stream();
        let mut file = tokio::fs::File::create(archive)
            .await
            .map_err(Error::file("write", archive))?;
        while let Some(chunk) = stream.try_next().await.map_err(failed())? {
            file.write_all(&chunk)
                .await
                .map_err(Error::file("write", archive))?;
        }
        file.flush().await.map_err(Error::file("write", archive))
    }

    fn source_object(&self, meta: ObjectMeta) -> Option<SourceObject> {
        // Our own versions, when the source is the whole bucket; and the markers some tools leave for directories.
        if meta.location.prefix_matches(&self.versions) && !self.source.prefix_matches(&self.versions) {
            return None;
        }
        let path = meta
            .location
            .as_ref()
            .strip_prefix(self.source.as_ref())?
            .trim_start_matches('/')
            .to_owned();
        if path.is_empty() || super::digest::is_litter(&path) {
            return None;
        }
        let tag = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
        Some(SourceObject {
            path,
            size: meta.size,
            tag,
        })
    }

    fn location(&self, path: &str) -> Path {
        let prefix = self.source.as_ref();
        if prefix.is_empty() {
            Path::from(path)
        } else {
            Path::from(format!("{prefix}/{path}"))
        }
    }

    fn archive(&self, digest: &Digest) -> Path {
        self.versions.clone().join(format!("{digest}.tar.zst"))
    }
}
