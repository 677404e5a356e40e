//! The versions on this node's disk.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;

use super::archive;
use super::bucket::Bucket;
use super::digest::{Digest, Manifest};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Ownership;

/// The latest ones are kept, whoever uses them.
const KEPT: usize = 20;
/// The same while it is not known which are in use.
const KEPT_UNKNOWN: usize = 200;
/// One that a run asked for is kept so long after it asked.
const WANTED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Above this one `syncfs` is cheaper than many `fsync`.
const FEW: usize = 64;
const CURRENT: &str = "dags/current";

#[derive(Clone, Debug)]
pub struct Shelf {
    layout: Layout,
    /// One installation at a time.
    busy: Arc<Mutex<()>>,
    next: Arc<AtomicU64>,
}

/// A directory that is removed unless it became a version.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
}

// === impl Aside ===

impl Aside {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let removed = if self.path.is_dir() {
            std::fs::remove_dir_all(&self.path)
        } else {
            std::fs::remove_file(&self.path)
        };
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "A half-made DAG version could not be removed");
        }
    }
}

// === impl Shelf ===

impl Shelf {
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        // What an agent that was killed left half-made.
        if let Ok(entries) = std::fs::read_dir(layout.path("dags/incoming")) {
            entries
                .flatten()
                .for_each(|entry| drop(Aside { path: entry.path() }));
        }
        Self {
            layout,
            busy: Arc::default(),
            next: Arc::default(),
        }
    }

    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.version(digest).is_dir()
    }

    #[must_use]
    pub fn version(&self, digest: &Digest) -> PathBuf {
        self.layout.path(&format!("dags/versions/{digest}"))
    }

    /// The live version; `None` when there is none yet.
    #[must_use]
    pub fn current(&self) -> Option<Digest> {
        let bytes = self.layout.place().read(CURRENT).ok()??;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    /// The one before is marked as the last that was live, for those who collect.
    ///
    /// # Errors
    /// When the disk refuses; then the earlier one stays.
    pub fn set_current(&self, digest: &Digest) -> Result<()> {
        if let Some(before) = self
            .current()
            .filter(|before| before != digest && self.has(before))
        {
            let directory = self.version(&before);
            let file = std::fs::File::open(&directory).map_err(Error::file("mark", &directory))?;
            file.set_modified(SystemTime::now())
                .map_err(Error::file("mark", &directory))?;
        }
        self.layout.place().write(
            CURRENT,
            format!("{digest}\n").as_bytes(),
            0o640,
            Ownership::Shared,
        )
    }

    /// Makes a version's files look new: Airflow parses at once what was modified since it last parsed it, and a version
    /// may be an earlier one that comes back. Contents never change.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn freshen(&self, digest: &Digest) -> Result<()> {
        let now = SystemTime::now();
        let mut directories = vec![self.version(digest)];
        while let Some(directory) = directories.pop() {
            let failed = || Error::file("refresh", &directory);
            for entry in std::fs::read_dir(&directory).map_err(failed())? {
                let entry = entry.map_err(failed())?;
                if entry.file_type().map_err(failed())?.is_dir() {
                    directories.push(entry.path());
                } else {
                    let file = std::fs::File::open(entry.path()).map_err(failed())?;
                    file.set_modified(now).map_err(failed())?;
                }
            }
        }
        Ok(())
    }

    /// A name for something half-made.
    pub(super) fn aside(&self, kind: &str) -> Aside {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Aside {
            path: self.layout.path(&format!("dags/incoming/{kind}-{number}")),
        }
    }

    /// An empty directory for something half-made.
    pub(super) fn aside_directory(&self) -> Result<Aside> {
        let aside = self.aside("files");
        std::fs::create_dir(aside.path()).map_err(Error::file("make directory", aside.path()))?;
        Ok(aside)
    }

    /// Fetches a version, unless it is here.
    ///
    /// # Errors
    /// When it can't be fetched or is not what its name says; then nothing has changed.
    pub async fn fetch(&self, bucket: &Bucket, digest: &Digest) -> Result<()> {
        let _alone = self.busy.lock().await;
        if self.has(digest) {
            return Ok(());
        }
        let archive = self.aside("archive");
        bucket.download(digest, archive.path()).await?;
        let files = self.aside_directory()?;
        let (shelf, digest) = (self.clone(), digest.clone());
        blocking(move || {
            let reader = std::fs::File::open(archive.path()).map_err(Error::file("read", archive.path()))?;
            let manifest = archive::unpack(std::io::BufReader::new(reader), files.path(), &digest)?;
            shelf.install(&files, &manifest)
        })
        .await
    }

    /// Puts a complete directory among the versions.
    pub(super) fn install(&self, files: &Aside, manifest: &Manifest) -> Result<()> {
        let target = self.version(&manifest.digest());
        if target.is_dir() {
            return Ok(());
        }
        let place = || -> std::io::Result<()> {
            std::fs::set_permissions(files.path(), Permissions::from_mode(0o755))?;
            sync(files.path(), manifest)?;
            match std::fs::rename(files.path(), &target) {
                // The resolver made what was being fetched, or the other way round: the same content.
                Err(_) if target.is_dir() => return Ok(()),
                renamed => renamed?,
            }
            std::fs::File::open(self.layout.path("dags/versions"))?.sync_all()
        };
        place().map_err(Error::file("install", &target))
    }

    /// Versions that runs asked for and that are not here.
    #[must_use]
    pub fn wanted(&self) -> Vec<Digest> {
        self.asked_for()
            .into_iter()
            .filter(|digest| !self.has(digest))
            .collect()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Removes versions but the latest ones, those to be kept, those asked for here and those that were live after `known`:
    /// of runs that began with these nobody has told yet.
    ///
    /// # Errors
    /// When one can't be removed.
    pub(super) fn collect(&self, keep: &BTreeSet<Digest>, known: SystemTime) -> Result<()> {
        self.collect_but(KEPT, keep, known)
    }

    /// The same when nobody knows which are in use: only what is old and far too much.
    pub(super) fn collect_if_many(&self, keep: &BTreeSet<Digest>, known: SystemTime) -> Result<()> {
        self.collect_but(KEPT_UNKNOWN, keep, known)
    }

    /// Versions that were live after a moment.
    pub(super) fn live_since(&self, moment: SystemTime) -> impl Iterator<Item = Digest> {
        let versions = self.installed().into_iter();
        versions.filter_map(move |(digest, at)| (at > moment).then_some(digest))
    }

    fn collect_but(&self, latest: usize, keep: &BTreeSet<Digest>, known: SystemTime) -> Result<()> {
        let wanted = self.asked_for();
        let current = self.current();
        let mut versions = self.installed();
        versions.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        let old = versions.into_iter().skip(latest).filter(|(_, at)| *at <= known);
        for (digest, _) in old {
            if Some(&digest) == current.as_ref() || wanted.contains(&digest) || keep.contains(&digest) {
                continue;
            }
            let trash = self.aside("trash");
            std::fs::rename(self.version(&digest), trash.path())
                .map_err(Error::file("remove", trash.path()))?;
        }
        Ok(())
    }

    /// With when each was last live, or came.
    fn installed(&self) -> Vec<(Digest, SystemTime)> {
        names(&self.layout.path("dags/versions"))
    }

    /// A run asks again when its version is gone: older wishes are over.
    fn asked_for(&self) -> Vec<Digest> {
        let fresh = |at: SystemTime| at.elapsed().map_or(true, |age| age < WANTED_FOR);
        let asked = names(&self.layout.path("dags/wanted"));
        asked
            .into_iter()
            .filter(|(_, at)| fresh(*at))
            .map(|(digest, _)| digest)
            .collect()
    }
}

fn names(directory: &Path) -> Vec<(Digest, SystemTime)> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let digest = entry.file_name().to_str()?.parse().ok()?;
            // Of the entry itself: services may put links here.
            Some((digest, entry.metadata().ok()?.modified().ok()?))
        })
        .collect()
}

fn sync(directory: &Path, manifest: &Manifest) -> std::io::Result<()> {
    if manifest.len() > FEW {
        return Ok(rustix::fs::syncfs(std::fs::File::open(directory)?)?);
    }
    for path in manifest.paths() {
        std::fs::File::open(directory.join(path))?.sync_all()?;
    }
    std::fs::File::open(directory)?.sync_all()
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Dags("the work was broken off".to_owned())),
    }
}
