//! Locks between the agents of one machine. They end with the process that holds them.

use std::fs::File;

use rustix::fs::FlockOperation;

use crate::error::{Error, Result};
use crate::place::{Ownership, Place};

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

// === impl Lock ===

impl Lock {
    /// Waits for the lock, blocking the thread.
    pub(crate) fn wait(place: &Place, name: &str, shared: bool) -> Result<Self> {
        let operation = if shared {
            FlockOperation::LockShared
        } else {
            FlockOperation::LockExclusive
        };
        Self::take(place, name, operation)
    }

    /// The lock alone, if nobody else has it.
    pub(crate) fn try_alone(place: &Place, name: &str) -> Option<Self> {
        Self::take(place, name, FlockOperation::NonBlockingLockExclusive).ok()
    }

    fn take(place: &Place, name: &str, operation: FlockOperation) -> Result<Self> {
        let file = place.append(name, 0o600, Ownership::Agent)?;
        rustix::fs::flock(&file, operation)
            .map_err(|errno| Error::file("lock", place.path().join(name))(errno.into()))?;
        Ok(Self { _file: file })
    }
}
