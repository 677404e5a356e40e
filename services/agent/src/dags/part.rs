//! One source's last good content. A version is one part of each source, each in its folder; a source in trouble
//! contributes the part that it had.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use updraft_api::agent::SourceRevision;

use super::archive;
use super::bucket::Current;
use super::digest::{Manifest, check_case};
use super::shelf::Aside;
use super::source::Snapshot;
use crate::error::{Error, Result};

/// What a source was, and what tells that it still is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Revision {
    #[serde(flatten)]
    pub(super) shown: SourceRevision,
    /// A digest of where the source is and what was found there.
    pub(super) key: String,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) revision: Revision,
    pub(super) manifest: Manifest,
    /// Where its files are: in a version on this node's disk.
    pub(super) root: PathBuf,
}

/// By folder.
pub(super) type Parts = BTreeMap<String, std::sync::Arc<Part>>;

/// The parts that a version was made of.
pub(super) fn parts_of(current: &Current, version: &Path, whole: &Manifest) -> Parts {
    let folders = current.sources.iter().map(|revision| &revision.shown.folder);
    let top = folders
        .filter(|folder| !folder.is_empty())
        .fold(whole.clone(), |top, folder| top.without(folder));
    let part = |revision: &Revision| {
        let folder = &revision.shown.folder;
        let manifest = match folder.as_str() {
            "" => top.clone(),
            folder => whole.below(folder),
        };
        let part = Part {
            revision: revision.clone(),
            manifest,
            root: version.join(folder),
        };
        (folder.clone(), std::sync::Arc::new(part))
    };
    current.sources.iter().map(part).collect()
}

/// Puts the parts together in `into`, an empty directory: fresh ones are moved there, the others are copied.
pub(super) fn merge(into: &Aside, parts: &Parts, fresh: &mut BTreeMap<String, Snapshot>) -> Result<Manifest> {
    let mut whole = Manifest::default();
    let folders = parts.keys().chain(fresh.keys()).cloned();
    // The top comes first: it is moved as a whole.
    for folder in folders.collect::<std::collections::BTreeSet<_>>() {
        let manifest = match (fresh.remove(&folder), parts.get(&folder)) {
            (Some(snapshot), _) => {
                place(&snapshot, into, &folder)?;
                snapshot.manifest.clone()
            }
            (None, Some(part)) => {
                copy(part, into, &folder)?;
                part.manifest.clone()
            }
            (None, None) => continue,
        };
        for (path, length, sha256) in manifest.files() {
            whole.add(&join(&folder, path), length, sha256)?;
        }
    }
    archive::check_size(&whole)?;
    check_case(whole.paths())?;
    Ok(whole)
}

fn place(snapshot: &Snapshot, into: &Aside, folder: &str) -> Result<()> {
    let target = into.path().join(folder);
    let failed = || Error::file("place", &target);
    if folder.is_empty() {
        std::fs::remove_dir(&target).map_err(failed())?;
    } else {
        archive::make_parents(into.path(), folder).map_err(failed())?;
    }
    archive::readable(snapshot.files.path()).map_err(failed())?;
    std::fs::rename(snapshot.files.path(), &target).map_err(failed())
}

fn copy(part: &Part, into: &Aside, folder: &str) -> Result<()> {
    for (path, length, sha256) in part.manifest.files() {
        let here = part.root.join(path);
        let file = std::fs::File::open(&here).map_err(Error::file("read", &here))?;
        let written = archive::write_file(into.path(), &join(folder, path), file)?;
        if written != (length, sha256) {
            return Err(Error::Dags(format!("`{path}` has changed on this node's disk")));
        }
    }
    Ok(())
}

fn join(folder: &str, path: &str) -> String {
    match folder {
        "" => path.to_owned(),
        folder => format!("{folder}/{path}"),
    }
}
