//! What lies beside a cluster's environments: old ones, and what builds left.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::aside::remove;
use crate::error::Result;
use crate::place::{Owner, Ownership, Place};

/// An environment that no assignment has named for this long is removed.
const UNUSED: Duration = Duration::from_secs(3600);

/// The directory of a cluster's environments. Its services read what they are told; builders pass through.
pub(super) fn open_home(home: &Path, owner: Option<Owner>) -> Result<Place> {
    let place = Place::open(home, owner)?;
    place.secure(0o751, Ownership::Shared)?;
    Ok(place)
}

/// Removes environments, and what builds left, that nobody has named for long. Used ones are touched first.
pub(super) fn tidy(home: &Path, keep: &[String]) {
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if keep.contains(&name) {
            touch(&entry.path());
        } else if entry.path().is_dir()
            && is_unused(&entry.path())
            && let Err(error) = remove(&entry.path())
        {
            tracing::warn!(
                error = error.chain(),
                "An unused environment could not be removed"
            );
        }
    }
}

fn touch(path: &Path) {
    let touched = std::fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(%error, "an environment could not be marked as used");
    }
}

fn is_unused(path: &Path) -> bool {
    let modified = path.symlink_metadata().and_then(|meta| meta.modified()).ok();
    let age = modified.and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age >= UNUSED)
}
