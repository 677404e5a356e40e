//! Environments in the cluster's bucket, put there once by the node that built or fetched them.
//!
//! `updraft/environments/<digest>/<sha256>.tar.zst`: named by what went in, then by what came out. What is in there is
//! nobody's word for anything, since more than this agent can write the bucket: control keeps what came out, and names it to
//! whoever fetches. What is not named any more stays for a week, and no more than a few of them.

use std::path::Path as FilePath;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tokio::io::AsyncReadExt as _;
use updraft_api::agent::{DagDelivery, ENVIRONMENTS, environment_key};

use super::archive;
use crate::dags::own_store;
use crate::error::{Error, Result};

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
    at: DateTime<Utc>,
}

/// What was put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

// === impl Kept ===

impl Kept {
    /// # Errors
    /// When the bucket's endpoint makes no sense.
    pub(super) fn of(delivery: &DagDelivery) -> Result<Self> {
        own_store(delivery).map(|store| Self { store })
    }

    /// Puts an archive there.
    ///
    /// # Errors
    /// When it can't be read, or the bucket does not take it.
    pub(super) async fn put(&self, digest: &str, archive: &FilePath) -> Result<Copy> {
        let failed = || Error::store("keep an environment");
        let read = || Error::file("read", archive);
        let bytes = tokio::fs::metadata(archive).await.map_err(read())?.len();
        let sha256 = digest_of(archive).await?;
        let location = Path::from(environment_key(digest, &sha256));
        let copy = Copy { sha256, bytes };
        let upload = self.store.put_multipart(&location).await.map_err(failed())?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut file = tokio::fs::File::open(archive).await.map_err(read())?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = file.read(&mut buffer).await.map_err(read())?;
            if length == 0 {
                return writer.finish().await.map(|_| copy).map_err(failed());
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
        for location in superfluous(self.list().await?, keep, Utc::now()) {
            self.store
                .delete(&location)
                .await
                .map_err(Error::store("remove an environment"))?;
        }
        Ok(())
    }

    /// The latest first.
    async fn list(&self) -> Result<Vec<Object>> {
        let prefix = Path::from(ENVIRONMENTS);
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
    let below = meta.location.as_ref().strip_prefix(ENVIRONMENTS)?;
    let (digest, _) = below.strip_prefix('/')?.split_once('/')?;
    Some(Object {
        digest: digest.to_owned(),
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

    use updraft_api::agent::environment_key;

    use super::{Kept, MOST, Object, superfluous};

    /// Of `packed`.
    const PACKED: &str = "88cb8a087b6e8cebfc9ae5602f5a2159a6bcf923e7f2c56809bcda6cad1727a7";

    #[tokio::test]
    async fn what_is_put_is_named_by_what_it_is_and_stays_while_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("made");
        std::fs::write(&made, "packed").unwrap();
        let store = Arc::new(InMemory::new());
        let kept = Kept { store: store.clone() };
        let copy = kept.put("d", &made).await.unwrap();
        assert_eq!((copy.sha256.as_str(), copy.bytes), (PACKED, 6));
        let location = Path::from(environment_key("d", PACKED));
        kept.collect(&["d".to_owned()]).await.unwrap();
        let found = store.get(&location).await.unwrap().bytes().await.unwrap();
        assert_eq!(found, "packed");
        assert_eq!(kept.list().await.unwrap()[0].digest, "d");
    }

    fn object(number: usize, age: TimeDelta) -> Object {
        Object {
            location: Path::from(format!("{number}")),
            digest: number.to_string(),
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
