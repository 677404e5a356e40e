//! Environments in the cluster's bucket: put there once by the node that built them, fetched by one whose disk lacks them.
//!
//! `updraft/environments/<digest>/<sha256>.tar.zst`: named by what went in, then by what came out, so that a damaged one is
//! known. Whoever can write that bucket runs code in this cluster anyhow, and in no other: none is shared beyond it. What is
//! not named any more stays for a week, and no more than a few of them.

use std::path::Path as FilePath;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use updraft_api::agent::DagDelivery;

use super::archive;
use crate::dags::own_store;
use crate::error::{Error, Result};

const PREFIX: &str = "updraft/environments";
const END: &str = ".tar.zst";
const PART: usize = 8 << 20;
const UNUSED: TimeDelta = TimeDelta::days(7);
/// Of those that nobody names.
const MOST: usize = 5;

/// The environments of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    store: Arc<dyn ObjectStore>,
}

/// One of them.
#[derive(Clone, Debug)]
struct Object {
    location: Path,
    digest: String,
    sha256: String,
    bytes: u64,
    at: DateTime<Utc>,
}

// === impl Kept ===

impl Kept {
    /// # Errors
    /// When the bucket's endpoint makes no sense.
    pub(super) fn of(delivery: &DagDelivery) -> Result<Self> {
        own_store(delivery).map(|store| Self { store })
    }

    pub(super) async fn has(&self, digest: &str) -> Result<bool> {
        Ok(!self.list(Some(digest)).await?.is_empty())
    }

    /// Downloads one into a file; false when there is none.
    ///
    /// # Errors
    /// When it can't be read, is larger than `most_bytes`, or is not what its name says.
    pub(super) async fn fetch(&self, digest: &str, into: &FilePath, most_bytes: u64) -> Result<bool> {
        let failed = || Error::store("fetch an environment");
        let Some(object) = self.list(Some(digest)).await?.into_iter().next() else {
            return Ok(false);
        };
        if object.bytes > most_bytes {
            return Err(Error::Dags("a kept environment is too large".to_owned()));
        }
        let answer = self.store.get(&object.location).await.map_err(failed())?;
        let mut stream = answer.into_stream();
        let written = || Error::file("write", into);
        let mut file = tokio::fs::File::create_new(into).await.map_err(written())?;
        while let Some(chunk) = stream.try_next().await.map_err(failed())? {
            file.write_all(&chunk).await.map_err(written())?;
        }
        file.flush().await.map_err(written())?;
        let found = digest_of(into).await?;
        if found == object.sha256 {
            return Ok(true);
        }
        Err(Error::Dags(
            "a kept environment is not what its name says".to_owned(),
        ))
    }

    /// # Errors
    /// When it can't be read, or the bucket does not take it.
    pub(super) async fn put(&self, digest: &str, archive: &FilePath) -> Result<()> {
        let failed = || Error::store("keep an environment");
        let read = || Error::file("read", archive);
        let sha256 = digest_of(archive).await?;
        let location = Path::from(PREFIX).join(digest).join(format!("{sha256}{END}"));
        let upload = self.store.put_multipart(&location).await.map_err(failed())?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut file = tokio::fs::File::open(archive).await.map_err(read())?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = file.read(&mut buffer).await.map_err(read())?;
            if length == 0 {
                return writer.finish().await.map(drop).map_err(failed());
            }
            writer.wait_for_capacity(4).await.map_err(failed())?;
            writer.write(&buffer[..length]);
        }
    }

    /// Removes what nobody has named for long.
    ///
    /// # Errors
    /// When the bucket can't be asked.
    pub(super) async fn collect(&self, keep: &[String]) -> Result<()> {
        for location in superfluous(self.list(None).await?, keep, Utc::now()) {
            self.store
                .delete(&location)
                .await
                .map_err(Error::store("remove an environment"))?;
        }
        Ok(())
    }

    /// The latest first.
    async fn list(&self, digest: Option<&str>) -> Result<Vec<Object>> {
        let prefix = digest.map_or_else(|| Path::from(PREFIX), |digest| Path::from(PREFIX).join(digest));
        let listed: Vec<ObjectMeta> = self
            .store
            .list(Some(&prefix))
            .try_collect()
            .await
            .map_err(Error::store("list environments"))?;
        let mut objects: Vec<_> = listed.into_iter().filter_map(object).collect();
        objects.sort_by_key(|object| std::cmp::Reverse(object.at));
        Ok(objects)
    }
}

fn object(meta: ObjectMeta) -> Option<Object> {
    let below = meta.location.as_ref().strip_prefix(PREFIX)?.strip_prefix('/')?;
    let (digest, name) = below.split_once('/')?;
    Some(Object {
        digest: digest.to_owned(),
        sha256: name.strip_suffix(END)?.to_owned(),
        bytes: meta.size,
        at: meta.last_modified,
        location: meta.location,
    })
}

/// Of objects with the latest first. Pure.
fn superfluous(objects: Vec<Object>, keep: &[String], now: DateTime<Utc>) -> Vec<Path> {
    let unnamed = objects
        .into_iter()
        .filter(|object| !keep.contains(&object.digest));
    unnamed
        .enumerate()
        .filter(|(number, object)| *number >= MOST || now - object.at > UNUSED)
        .map(|(_, object)| object.location)
        .collect()
}

async fn digest_of(file: &FilePath) -> Result<String> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || archive::digest(&path)).await;
    read.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()))
        .map_err(Error::file("read", file))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{TimeDelta, Utc};
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::{Kept, MOST, Object, superfluous};

    #[tokio::test]
    async fn what_was_put_is_fetched_and_what_is_damaged_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (made, got) = (dir.path().join("made"), dir.path().join("got"));
        std::fs::write(&made, "packed").unwrap();
        let store = Arc::new(InMemory::new());
        let kept = Kept { store: store.clone() };
        assert!(!kept.fetch("d", &got, 100).await.unwrap());
        kept.put("d", &made).await.unwrap();
        assert!(kept.has("d").await.unwrap() && !kept.has("e").await.unwrap());
        assert!(kept.fetch("d", &got, 100).await.unwrap());
        assert_eq!(std::fs::read(&got).unwrap(), b"packed");
        assert!(kept.fetch("d", &dir.path().join("large"), 3).await.is_err());
        let location = kept.list(None).await.unwrap().remove(0).location;
        store.put(&location, "damaged".into()).await.unwrap();
        assert!(kept.fetch("d", &dir.path().join("again"), 100).await.is_err());
        kept.collect(&["d".to_owned()]).await.unwrap();
        assert!(store.head(&location).await.is_ok());
    }

    fn object(number: usize, age: TimeDelta) -> Object {
        Object {
            location: Path::from(format!("{number}")),
            digest: number.to_string(),
            sha256: String::new(),
            bytes: 1,
            at: Utc::now() - age,
        }
    }

    #[test]
    fn those_that_are_named_stay_and_of_the_others_a_few_for_a_week() {
        let fresh = |number| object(number, TimeDelta::hours(1));
        let mut objects: Vec<_> = (0..=MOST).map(fresh).collect();
        objects.push(object(90, TimeDelta::days(8)));
        objects.push(object(91, TimeDelta::days(8)));
        let gone = superfluous(objects, &["0".to_owned(), "91".to_owned()], Utc::now());
        assert_eq!(gone, [Path::from("90")]);
        let many: Vec<_> = (0..MOST + 2).map(fresh).collect();
        assert_eq!(superfluous(many, &[], Utc::now()).len(), 2);
    }
}
