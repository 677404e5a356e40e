//! What to run, when it counts as started, and how it is stopped.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::{Account, Result};

/// What to run and how to treat it.
#[derive(Clone)]
pub struct Service {
    /// Known by this name in `run/`, in messages and in its log.
    pub name: String,
    pub program: PathBuf,
    /// Everyone on the machine may read these: no secrets.
    pub args: Vec<OsString>,
    /// The whole environment it gets.
    pub env: Vec<(OsString, OsString)>,
    pub directory: PathBuf,
    pub account: Account,
    pub log: PathBuf,
    /// On 127.0.0.1; checked before each start.
    pub ports: Vec<u16>,
    pub ready: Ready,
    /// How long the first start may take.
    pub patience: Duration,
    /// Signals in order, each with the time it is given; SIGKILL comes last without being named.
    pub stop: Vec<StopStage>,
    /// Run before each start, such as to clear away what a crash left.
    pub prepare: Option<Arc<dyn Fn() -> Result<()> + Send + Sync>>,
}

/// One signal and how many seconds it is given to work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopStage {
    pub signal: i32,
    pub seconds: f32,
}

/// When a service counts as started.
#[derive(Clone)]
pub enum Ready {
    /// All of these ports of 127.0.0.1 accept connections.
    Ports(Vec<u16>),
    /// This says so, given the pid.
    Says(Arc<dyn Fn(i32) -> bool + Send + Sync>),
}

// === impl StopStage ===

impl StopStage {
    /// SIGTERM, then this many seconds.
    pub fn terminate(seconds: f32) -> Self {
        Self {
            signal: Signal::TERM.as_raw(),
            seconds,
        }
    }
}

// === impl Ready ===

impl Ready {
    pub(crate) async fn is(&self, pid: i32) -> bool {
        match self {
            Self::Ports(ports) => {
                for port in ports {
                    if tokio::net::TcpStream::connect(("127.0.0.1", *port))
                        .await
                        .is_err()
                    {
                        return false;
                    }
                }
                true
            }
            Self::Says(says) => says(pid),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}
