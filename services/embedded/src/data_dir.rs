//! Takes a data directory for one `up` at a time, or says why it may not be used.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};
use rustix::fs::{FlockOperation, flock, statvfs};

use crate::{Error, Layout, Result};

/// The format of the directory that this code reads and writes.
const VERSION: u32 = 1;

/// Room for parts, one environment, two databases and their write-ahead logs.
const FIRST_NEEDS_MIB: u64 = 3 * 1024;

/// Room to resume what is there.
const RESUME_NEEDS_MIB: u64 = 256;

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    layout: Layout,
    lock: File,
}

// === impl DataDir ===

impl DataDir {
    /// Makes or resumes the directory and locks it.
    ///
    /// # Errors
    /// A `DataDir…` or disk error when it is someone else's, in use, too new, unreachable for services, or too full.
    pub fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(Error::io("resolve", path))?;
        let layout = Layout::new(path);
        make_directory(layout.root(), 0o711)?;
        check_owner(layout.root())?;
        let known = read_version(&layout)?;
        let lock = take_lock(&layout)?;
        for (directory, mode) in layout.directories() {
            make_directory(&directory, mode)?;
        }
        check_reach(layout.root())?;
        check_space(
            layout.root(),
            if known { RESUME_NEEDS_MIB } else { FIRST_NEEDS_MIB },
        )?;
        if !known {
            fs::write(layout.version_file(), format!("{VERSION}\n"))
                .map_err(Error::io("write", &layout.version_file()))?;
        }
        Ok(Self { layout, lock })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Drop for DataDir {
    /// Closing alone would not do: a child that is just being started still shares the open file until it executes.
    fn drop(&mut self) {
        let _closing_anyway = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The process that holds the data directory, if one does: the running `up`.
pub fn running_pid(layout: &Layout) -> Option<i32> {
    let mut file = File::open(layout.lock_file()).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => None,
        Err(_held) => {
            let mut text = String::new();
            file.read_to_string(&mut text).ok()?;
            text.trim().parse().ok()
        }
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(Error::io("make", path))?;
    let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
    if metadata.permissions().mode() & 0o7777 == mode || metadata.uid() != Uid::effective().as_raw() {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("set the mode of", path))
}

fn check_owner(path: &Path) -> Result<()> {
    let owner = fs::metadata(path).map_err(Error::io("read", path))?.uid();
    if owner == Uid::effective().as_raw() {
        return Ok(());
    }
    let name = User::from_uid(Uid::from_raw(owner))
        .ok()
        .flatten()
        .map(|user| user.name);
    Err(Error::DataDirOwner {
        path: path.to_owned(),
        owner: name.unwrap_or_else(|| format!("user {owner}")),
    })
}

/// True when the directory is already Updraft's, false when it is empty.
fn read_version(layout: &Layout) -> Result<bool> {
    let root = layout.root().to_owned();
    match fs::read_to_string(layout.version_file()) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(version) if version <= VERSION => Ok(true),
            _ => Err(Error::DataDirNewer {
                path: root,
                found: text.trim().to_owned(),
                known: VERSION,
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if is_fresh(layout)? {
                Ok(false)
            } else {
                Err(Error::DataDirForeign { path: root })
            }
        }
        Err(error) => Err(Error::io("read", &layout.version_file())(error)),
    }
}

/// Empty, or left by an `open` that was cut off before it wrote the version: only our own empty directories.
fn is_fresh(layout: &Layout) -> Result<bool> {
    let ours: Vec<PathBuf> = layout.directories().into_iter().map(|(path, _)| path).collect();
    let entries = fs::read_dir(layout.root()).map_err(Error::io("read", layout.root()))?;
    for entry in entries {
        let path = entry.map_err(Error::io("read", layout.root()))?.path();
        let is_empty = || fs::read_dir(&path).is_ok_and(|mut inside| inside.next().is_none());
        if path != layout.lock_file() && !(ours.contains(&path) && is_empty()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The lock dies with this process, however it ends. Children never inherit it: the file is opened close-on-exec.
fn take_lock(layout: &Layout) -> Result<File> {
    let path = layout.lock_file();
    let attempt = || -> io::Result<Option<File>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)?;
        if !locks(&file) {
            return Ok(None);
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(file))
    };
    attempt()
        .map_err(Error::io("lock", &path))?
        .ok_or_else(|| Error::DataDirInUse {
            path: layout.root().to_owned(),
            holder: running_pid(layout).map_or_else(|| "unknown".into(), |pid| pid.to_string()),
        })
}

/// Tries a few times: whoever asks [`running_pid`] holds the lock too, for an instant.
fn locks(file: &File) -> bool {
    (0..5).any(|_| {
        let taken = flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !taken {
            std::thread::sleep(Duration::from_millis(10));
        }
        taken
    })
}

/// As root, services run as others: every directory on the way must let them pass.
fn check_reach(path: &Path) -> Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let real = fs::canonicalize(path).map_err(Error::io("resolve", path))?;
    match first_closed(&real) {
        Some(blocked) => Err(Error::DataDirUnreachable {
            path: path.to_owned(),
            blocked,
        }),
        None => Ok(()),
    }
}

/// The topmost directory on the way to `path`, itself included, that users other than its owner cannot pass.
pub(crate) fn first_closed(path: &Path) -> Option<PathBuf> {
    let passable = |directory: &Path| {
        fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    ancestors
        .into_iter()
        .find(|directory| !passable(directory))
        .map(Path::to_owned)
}

fn check_space(path: &Path, needed_mib: u64) -> Result<()> {
    let found = statvfs(path).map_err(|errno| Error::io("measure", path)(errno.into()))?;
    let free_mib = found.f_bavail.saturating_mul(found.f_frsize) / (1024 * 1024);
    if free_mib < needed_mib {
        return Err(Error::DiskSpace {
            path: path.to_owned(),
            free_mib,
            needed_mib,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn directory_serves_one_up_at_a_time() {
        let dir = scratch();
        let first = DataDir::open(&dir.path().join("data")).unwrap();
        assert_eq!(
            running_pid(first.layout()),
            Some(std::process::id().cast_signed())
        );
        let refused = DataDir::open(&dir.path().join("data")).unwrap_err();
        assert!(matches!(refused, Error::DataDirInUse { .. }), "{refused}");
        let layout = first.layout().clone();
        drop(first);
        assert_eq!(running_pid(&layout), None);
        DataDir::open(&dir.path().join("data")).unwrap();
    }

    #[test]
    fn directory_of_someone_else_is_not_touched() {
        let dir = scratch();
        fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::DataDirForeign { .. }), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn half_made_directory_is_completed() {
        let dir = scratch();
        fs::create_dir(dir.path().join("parts")).unwrap();
        fs::write(dir.path().join("lock"), "12345\n").unwrap();
        let opened = DataDir::open(dir.path()).unwrap();
        assert!(opened.layout().version_file().exists());
    }

    #[test]
    fn directory_of_a_newer_updraft_is_refused() {
        let dir = scratch();
        fs::write(dir.path().join("version"), "999\n").unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("format 999"), "{refused}");
    }

    #[test]
    fn directory_that_services_cannot_reach_is_refused_to_root() {
        if !Uid::effective().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let refused = DataDir::open(&dir.path().join("data")).unwrap_err();
        assert!(matches!(refused, Error::DataDirUnreachable { .. }), "{refused}");
    }

    #[test]
    fn too_little_space_is_told_in_figures() {
        let dir = scratch();
        let refused = check_space(dir.path(), u64::MAX).unwrap_err();
        assert!(refused.to_string().contains("MiB free"), "{refused}");
    }
}
