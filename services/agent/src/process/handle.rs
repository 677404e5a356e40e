//! One process, held by a pidfd: no other can be mistaken for it, child or not.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Stat;

/// A pid and when it began: the name of one process until the machine restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Clock ticks since boot.
    pub start_time: u64,
}

#[derive(Clone, Debug)]
pub struct Handle {
    id: ProcessId,
    fd: Arc<AsyncFd<OwnedFd>>,
}

// === impl ProcessId ===

impl ProcessId {
    /// Who has this pid now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| Self {
            pid,
            start_time: stat.start_time,
        })
    }

    #[must_use]
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start_time == self.start_time && !stat.is_dead())
    }

    /// The user it runs as.
    #[must_use]
    pub fn uid(self) -> Option<u32> {
        // Who owns its directory says nothing: a process can have that be root.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        uids.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Sends a signal to this process and to no other that may have taken its pid.
    ///
    /// # Errors
    /// When it may not be signalled; that it has ended is no error.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(());
        };
        let fd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !self.is_alive() {
            return Ok(());
        }
        match rustix::process::pidfd_send_signal(&fd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

// === impl Handle ===

impl Handle {
    /// Takes hold of a process, own child or not. `None` when it is gone or its pid is another's now; one that has ended
    /// but was not reaped can be held, and `ended` returns at once.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(id: ProcessId) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(id.pid) else {
            return Ok(None);
        };
        let fd = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // The descriptor names whoever had the pid then: only now is it safe to compare.
        let same = Stat::read(id.pid).is_some_and(|stat| stat.start_time == id.start_time);
        if !same {
            return Ok(None);
        }
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd is the descriptor it owns"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Some(Self { id, fd: Arc::new(fd) }))
    }

    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Returns when the process has ended.
    pub async fn ended(&self) {
        // An error can't happen while the runtime lives; then "ended" is checked by whoever asks again.
        let _ = self.fd.readable().await;
    }
}
