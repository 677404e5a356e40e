//! Objects below a prefix of a bucket.
//!
//! An object store changes object by object. A listing that is the same before and after its objects were read is
//! taken as one state; one that changed meanwhile is read again.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use tokio::io::AsyncWriteExt as _;
use updraft_api::agent::{SourceFrom, SourceRevision};

use super::gather::{Seen, Tags, check};
use super::keys::Keys;
use super::store::foreign_store;
use super::{Ground, Look, Snapshot, key};
use crate::dags::archive::{self, MOST_FILES};
use crate::dags::digest::{Manifest, is_litter};
use crate::dags::part::{Part, Revision};
use crate::dags::shelf::{Shelf, blocking};
use crate::error::{Error, Result};

const AT_ONCE: usize = 16;
/// Larger objects go through a file.
const IN_MEMORY: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct Objects {
    folder: String,
    reader: Reader,
    /// Our own versions, when the source is the whole bucket.
    except: Option<Path>,
    /// Where this is: the same listing elsewhere is another state.
    place: String,
    own: bool,
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Reader {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// One object of the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    path: String,
    size: u64,
    tag: String,
    at: DateTime<Utc>,
}

/// A file that was brought.
type Written = (String, u64, [u8; 32]);

// === impl Objects ===

impl Objects {
    pub(super) fn own(folder: String, store: &Arc<dyn ObjectStore>, prefix: &str, versions: &str) -> Self {
        let (prefix, versions) = (Path::from(prefix), Path::from(versions));
        Self {
            folder,
            place: format!("own/{prefix}"),
            except: (!prefix.prefix_matches(&versions)).then_some(versions),
            reader: Reader {
                store: Arc::clone(store),
                prefix,
            },
            own: true,
            seen: None,
        }
    }

    pub(super) fn foreign(
        folder: String,
        from: &SourceFrom,
        keys: Option<Keys>,
        ground: &Ground,
    ) -> Result<Self> {
        let SourceFrom::S3 {
            endpoint,
            region,
            bucket,
            prefix,
            ..
        } = from
        else {
            return Err(Error::Dags("that is no bucket".to_owned()));
        };
        Ok(Self {
            folder,
            place: format!("{endpoint:?}/{region}/{bucket}/{prefix}"),
            except: None,
            reader: Reader {
                store: foreign_store(from, keys, ground)?,
                prefix: Path::from(prefix.as_str()),
            },
            own: false,
            seen: None,
        })
    }

    pub(super) async fn look(&mut self, shelf: &Shelf, last: Option<&Part>) -> Result<Look> {
        let objects = self.list().await?;
        let key = self.key(&objects);
        if last.is_some_and(|part| part.revision.key == key) {
            // After a restart: the listing is the one that the part was made of.
            self.seen.get_or_insert_with(|| seen(&key, &objects));
            return Ok(Look::Same);
        }
        if objects.is_empty() && !self.own {
            return Err(Error::Dags(
                "the bucket has no object below the prefix: upload your DAGs there, or correct the prefix"
                    .to_owned(),
            ));
        }
        let snapshot = match self.read(shelf, &objects, last, &key).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                // An object that went away or changed is a source that is still moving.
                let moving = self.list().await? != objects;
                return if moving { Ok(Look::Moving) } else { Err(error) };
            }
        };
        if self.list().await? != objects {
            return Ok(Look::Moving);
        }
        self.seen = Some(seen(&key, &objects));
        Ok(Look::Fresh(snapshot))
    }

    /// Sorted by path.
    async fn list(&self) -> Result<Vec<Object>> {
        let listed = self.reader.store.list(Some(&self.reader.prefix));
        let metas: Vec<ObjectMeta> = listed
            // Twice what is allowed is enough to say that it is too much.
            .take(MOST_FILES * 2)
            .try_collect()
            .await
            .map_err(Error::store("list the DAG source"))?;
        let mut objects: Vec<_> = metas.into_iter().filter_map(|meta| self.object(meta)).collect();
        objects.sort();
        Ok(objects)
    }

    fn object(&self, meta: ObjectMeta) -> Option<Object> {
        if self
            .except
            .as_ref()
            .is_some_and(|except| meta.location.prefix_matches(except))
        {
            return None;
        }
        let path = meta.location.as_ref().strip_prefix(self.reader.prefix.as_ref())?;
        let path = path.trim_start_matches('/').to_owned();
        // The markers that some tools leave for directories are no files.
        if path.is_empty() || is_litter(&path) {
            return None;
        }
        let tag = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
        Some(Object {
            path,
            size: meta.size,
            tag,
            at: meta.last_modified,
        })
    }

    fn key(&self, objects: &[Object]) -> String {
        let listing = objects
            .iter()
            .flat_map(|object| [object.path.as_str(), object.tag.as_str()]);
        key([self.place.as_str()].into_iter().chain(listing))
    }

    async fn read(
        &self,
        shelf: &Shelf,
        objects: &[Object],
        last: Option<&Part>,
        key: &str,
    ) -> Result<Snapshot> {
        check(objects.iter().map(|object| (object.path.as_str(), object.size)))?;
        let files = shelf.aside_directory()?;
        let directory: Arc<std::path::Path> = Arc::from(files.path());
        let copies: Vec<_> = objects
            .iter()
            .map(|object| {
                let seen = self.seen.as_ref();
                let here = seen.and_then(|seen| seen.here(last, &object.path, &object.tag));
                bring(
                    self.reader.clone(),
                    object.clone(),
                    here,
                    Arc::clone(&directory),
                    shelf.clone(),
                )
            })
            .collect();
        let written: Vec<Written> = futures::stream::iter(copies)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut manifest = Manifest::default();
        for (path, length, sha256) in written {
            manifest.add(&path, length, sha256)?;
        }
        archive::check_size(&manifest)?;
        let shown = SourceRevision {
            folder: self.folder.clone(),
            revision: key.to_owned(),
            author: None,
            message: None,
            pushed_at: objects.iter().map(|object| object.at).max(),
        };
        let revision = Revision {
            shown,
            key: key.to_owned(),
        };
        Ok(Snapshot {
            files,
            manifest,
            revision,
        })
    }
}

// === impl Reader ===

impl Reader {
    /// An object as it was listed; refused when it has changed since.
    async fn get(&self, object: &Object) -> Result<object_store::GetResult> {
        let options = GetOptions {
            if_match: Some(object.tag.clone()),
            ..GetOptions::default()
        };
        let prefix = self.prefix.as_ref();
        let location = match prefix {
            "" => Path::from(object.path.as_str()),
            prefix => Path::from(format!("{prefix}/{}", object.path)),
        };
        let answer = self.store.get_opts(&location, options).await;
        answer.map_err(Error::store("read a DAG file"))
    }
}

fn seen(key: &str, objects: &[Object]) -> Seen {
    let tags = objects
        .iter()
        .map(|object| (object.path.clone(), object.tag.clone()));
    Seen {
        key: key.to_owned(),
        tags: tags.collect::<Tags>(),
    }
}

/// Brings one file, from the version on disk where it is unchanged.
async fn bring(
    reader: Reader,
    object: Object,
    here: Option<PathBuf>,
    directory: Arc<std::path::Path>,
    shelf: Shelf,
) -> Result<Written> {
    if let Some(here) = here {
        return written_from(here, object.path, directory).await;
    }
    let answer = reader.get(&object).await?;
    if object.size <= IN_MEMORY {
        let bytes = answer.bytes().await.map_err(Error::store("read a DAG file"))?;
        return blocking(move || {
            let (length, sha256) = archive::write_file(&directory, &object.path, bytes.as_ref())?;
            Ok((object.path, length, sha256))
        })
        .await;
    }
    let aside = shelf.aside("object");
    let unwritable = || Error::file("write", aside.path());
    let mut file = tokio::fs::File::create(aside.path())
        .await
        .map_err(unwritable())?;
    let mut stream = answer.into_stream();
    while let Some(chunk) = stream.try_next().await.map_err(Error::store("read a DAG file"))? {
        file.write_all(&chunk).await.map_err(unwritable())?;
    }
    file.flush().await.map_err(unwritable())?;
    written_from(aside.path().to_owned(), object.path, directory).await
}

async fn written_from(here: PathBuf, path: String, directory: Arc<std::path::Path>) -> Result<Written> {
    blocking(move || {
        let file = std::fs::File::open(&here).map_err(Error::file("read", &here))?;
        let (length, sha256) = archive::write_file(&directory, &path, file)?;
        Ok((path, length, sha256))
    })
    .await
}
