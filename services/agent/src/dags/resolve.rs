//! One node of a cluster: make versions of the source.
//!
//! An object store changes object by object. A listing that is the same before and after its objects were read is
//! taken as one version; one that changed meanwhile is read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::archive;
use super::bucket::{Bucket, Current, SourceObject};
use super::digest::{Digest, Manifest, checked_path};
use super::shelf::{Aside, Shelf, blocking};
use super::{DagEvent, Trouble};
use crate::error::{Error, Result};

const LIST: Duration = Duration::from_secs(2);
/// The source changed while it was read.
const SETTLE: Duration = Duration::from_millis(300);
const AT_ONCE: usize = 16;

/// The listing that was last made into a version.
#[derive(Debug)]
struct Resolved {
    objects: Vec<SourceObject>,
    digest: Digest,
}

pub(super) async fn run(shelf: &Shelf, bucket: &Bucket, events: &mpsc::Sender<DagEvent>) {
    let mut trouble = Trouble::default();
    let mut resolved = None;
    loop {
        let settled = step(shelf, bucket, &mut resolved, events).await;
        let pause = if matches!(settled, Ok(false)) {
            SETTLE
        } else {
            trouble.pause(LIST)
        };
        trouble.note(settled.map(|_| ()), events).await;
        sleep(pause).await;
    }
}

/// False when the source changed while it was read.
async fn step(
    shelf: &Shelf,
    bucket: &Bucket,
    resolved: &mut Option<Resolved>,
    events: &mpsc::Sender<DagEvent>,
) -> Result<bool> {
    let objects = bucket.list().await?;
    if resolved
        .as_ref()
        .is_some_and(|resolved| resolved.objects == objects)
    {
        return Ok(true);
    }
    let (files, manifest) = match snapshot(shelf, bucket, &objects, resolved.as_ref()).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            // An object that went away or changed is a source that is still moving.
            let moving = bucket.list().await? != objects;
            return if moving { Ok(false) } else { Err(error) };
        }
    };
    if bucket.list().await? != objects {
        return Ok(false);
    }
    let digest = manifest.digest();
    publish(shelf, bucket, files, manifest, events).await?;
    *resolved = Some(Resolved { objects, digest });
    Ok(true)
}

async fn snapshot(
    shelf: &Shelf,
    bucket: &Bucket,
    objects: &[SourceObject],
    resolved: Option<&Resolved>,
) -> Result<(Aside, Manifest)> {
    check(objects)?;
    let unchanged: BTreeMap<&str, &SourceObject> = resolved
        .filter(|resolved| shelf.has(&resolved.digest))
        .map(|resolved| {
            resolved
                .objects
                .iter()
                .map(|object| (object.path.as_str(), object))
                .collect()
        })
        .unwrap_or_default();
    let earlier = resolved.map(|resolved| shelf.version(&resolved.digest));
    let files = shelf.aside_directory()?;
    let directory: Arc<Path> = Arc::from(files.path());
    let copies: Vec<_> = objects
        .iter()
        .map(|object| {
            let same = unchanged.get(object.path.as_str()) == Some(&object);
            let here = earlier
                .as_ref()
                .filter(|_| same)
                .map(|earlier| earlier.join(&object.path));
            copy(bucket.clone(), object.clone(), here, Arc::clone(&directory))
        })
        .collect();
    let written: Vec<(String, u64, [u8; 32])> = futures::stream::iter(copies)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut manifest = Manifest::default();
    for (path, length, sha256) in written {
        manifest.add(&path, length, sha256)?;
    }
    archive::check_size(&manifest)?;
    Ok((files, manifest))
}

/// Brings one file, from the version on disk where it is unchanged.
async fn copy(
    bucket: Bucket,
    object: SourceObject,
    here: Option<PathBuf>,
    directory: Arc<Path>,
) -> Result<(String, u64, [u8; 32])> {
    let content = match &here {
        Some(_) => None,
        None => Some(bucket.read(&object).await?),
    };
    blocking(move || {
        let (length, sha256) = match (content, here) {
            (Some(bytes), _) => archive::write_file(&directory, &object.path, bytes.as_ref())?,
            (None, Some(here)) => {
                let file = std::fs::File::open(&here).map_err(Error::file("read", &here))?;
                archive::write_file(&directory, &object.path, file)?
            }
            (None, None) => return Err(Error::Dags(format!("`{}` has no content", object.path))),
        };
        Ok((object.path, length, sha256))
    })
    .await
}

/// All that a listing alone can tell, before anything is read.
fn check(objects: &[SourceObject]) -> Result<()> {
    let mut manifest = Manifest::default();
    for object in objects {
        checked_path(&object.path)?;
        manifest.add(&object.path, object.size, [0; 32])?;
        archive::check_size(&manifest)?;
    }
    Ok(())
}

async fn publish(
    shelf: &Shelf,
    bucket: &Bucket,
    files: Aside,
    manifest: Manifest,
    events: &mpsc::Sender<DagEvent>,
) -> Result<()> {
    let digest = manifest.digest();
    let current = Current {
        digest: digest.clone(),
        files: manifest.len() as u64,
        bytes: manifest.bytes(),
    };
    if !bucket.has(&digest).await? {
        let archive = shelf.aside("archive");
        let (packed, files, manifest) = blocking(move || {
            archive::pack(files.path(), &manifest, archive.path())?;
            Ok((archive, files, manifest))
        })
        .await?;
        bucket.upload(&digest, packed.path()).await?;
        install(shelf, files, manifest).await?;
    } else {
        install(shelf, files, manifest).await?;
    }
    let before = bucket.current().await?;
    if before.as_ref().is_some_and(|(now, _)| now.digest == digest) {
        return Ok(());
    }
    bucket.set_current(&current, before.map(|(_, tag)| tag)).await?;
    let _ = events.send(DagEvent::Published(digest)).await;
    Ok(())
}

async fn install(shelf: &Shelf, files: Aside, manifest: Manifest) -> Result<()> {
    let shelf = shelf.clone();
    blocking(move || shelf.install(&files, &manifest)).await
}
