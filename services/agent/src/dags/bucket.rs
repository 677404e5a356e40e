//! The cluster's own bucket: the versions made of the sources.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    UpdateVersion, WriteMultipart,
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use updraft_api::agent::PublishedVersion;

use super::digest::Digest;
use super::part::Revision;
use crate::error::{Error, Result};

const PART: usize = 8 << 20;
const CURRENT: &str = "current";
const IN_USE: &str = "in-use";

/// One cluster's place in the object store.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    versions: Path,
}

/// The object `current`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Current {
    pub(super) digest: Digest,
    pub(super) files: u64,
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) at: Option<DateTime<Utc>>,
    /// What each source was.
    #[serde(default)]
    pub(super) sources: Vec<Revision>,
}

/// An archive in the bucket.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) at: DateTime<Utc>,
}

// === impl Current ===

impl Current {
    pub(super) fn published(&self) -> PublishedVersion {
        PublishedVersion {
            digest: self.digest.to_string(),
            at: self.at.unwrap_or_default(),
            files: self.files,
            bytes: self.bytes,
            sources: self
                .sources
                .iter()
                .map(|revision| revision.shown.clone())
                .collect(),
        }
    }
}

// === impl Bucket ===

impl Bucket {
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, versions_prefix: &str) -> Self {
        Self {
            store,
            versions: Path::from(versions_prefix),
        }
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
            .get_opts(&self.versions.clone().join(CURRENT), options)
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
        let location = self.versions.clone().join(CURRENT);
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

    /// The archives there are, the latest first.
    pub(super) async fn archives(&self) -> Result<Vec<Kept>> {
        let listed: Vec<ObjectMeta> = self
            .store
            .list(Some(&self.versions))
            .try_collect()
            .await
            .map_err(Error::store("list DAG versions"))?;
        let kept = |meta: ObjectMeta| {
            let name = meta.location.filename()?.strip_suffix(".tar.zst")?;
            Some(Kept {
                digest: name.parse().ok()?,
                bytes: meta.size,
                at: meta.last_modified,
            })
        };
        let mut archives: Vec<_> = listed.into_iter().filter_map(kept).collect();
        archives.sort_by_key(|kept| std::cmp::Reverse(kept.at));
        Ok(archives)
    }

    pub(super) async fn remove(&self, digest: &Digest) -> Result<()> {
        match self.store.delete(&self.archive(digest)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("remove a DAG version")(error)),
        }
    }

    /// The versions of unfinished runs, as the node that knows the runs last wrote them down.
    pub(super) async fn in_use(&self) -> Result<Option<(BTreeSet<Digest>, DateTime<Utc>)>> {
        let failed = || Error::store("read which DAG versions are in use");
        let answer = match self.store.get(&self.versions.clone().join(IN_USE)).await {
            Ok(answer) => answer,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        let at = answer.meta.last_modified;
        let bytes = answer.bytes().await.map_err(failed())?;
        let used = serde_json::from_slice(&bytes)
            .map_err(|_| Error::Dags("the object `in-use` names no DAG versions".to_owned()))?;
        Ok(Some((used, at)))
    }

    pub(super) async fn set_in_use(&self, used: &BTreeSet<Digest>) -> Result<()> {
        let bytes = serde_json::to_vec(used)
            .map_err(|_| Error::Dags("the versions in use can't be written down".to_owned()))?;
        let location = self.versions.clone().join(IN_USE);
        let written = self.store.put(&location, bytes.into()).await;
        written
            .map(|_| ())
            .map_err(Error::store("write down which DAG versions are in use"))
    }

    fn archive(&self, digest: &Digest) -> Path {
        self.versions.clone().join(format!("{digest}.tar.zst"))
    }
}
