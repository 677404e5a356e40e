//! One at a time, across tasks and processes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(File);

// === impl Turn ===

impl Drop for Turn {
    /// Closing alone would not do: a child that is just being started still shares the open file until it executes.
    fn drop(&mut self) {
        let _closing_anyway = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Waits for its turn. The file stays afterwards: removing it would let two in at once.
pub(crate) async fn take(path: &Path) -> Result<Turn> {
    let path = path.to_owned();
    let taken = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(Error::io("lock", &path))?;
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => Ok(Turn(file)),
            Err(errno) => Err(Error::io("lock", &path)(errno.into())),
        }
    });
    taken
        .await
        .unwrap_or_else(|join| std::panic::resume_unwind(join.into_panic()))
}
