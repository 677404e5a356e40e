//! What this node runs with, brought to its disk where it is not there: from the bucket of whoever of the tenant's clusters
//! has it, as control names it. Nodes of one machine share a directory, and one of them brings it.
//!
//! Nothing is checked here but that it is what control named: no node is assigned an environment that was not tried with
//! the cluster's DAGs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use updraft_api::agent::EnvironmentAssignment;

use super::Ending;
use super::aside::Aside;
use super::tidy::{open_home, tidy};
use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::place::Owner;
use crate::supervise::Lock;

const LOOK: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LOCK: &str = ".bringing";
const ASIDE: &str = ".brought-";

/// An environment that this node waits for.
#[derive(Debug)]
pub(crate) struct Bringing {
    directory: String,
    wanted: Option<EnvironmentAssignment>,
    /// Ends the wait when it is dropped.
    _task: Ending,
}

#[derive(Clone, Debug)]
pub(crate) struct Errand {
    /// Whoever else brings it renames it into place: once it is there, it is whole.
    pub(crate) directory: String,
    /// None: it is only waited for.
    pub(crate) wanted: Option<EnvironmentAssignment>,
    pub(crate) owner: Option<Owner>,
    pub(crate) control: ControlClient,
    /// Of this node.
    pub(crate) node: String,
}

// === impl Bringing ===

impl Bringing {
    /// `tell` is called once it is there.
    pub(crate) fn begin(errand: Errand, tell: impl FnOnce(String) + Send + 'static) -> Self {
        let (directory, wanted) = (errand.directory.clone(), errand.wanted.clone());
        let task = tokio::spawn(async move {
            errand.run().await;
            tell(errand.directory);
        });
        Self {
            directory,
            wanted,
            _task: Ending(task.abort_handle()),
        }
    }

    pub(crate) fn is_of(&self, errand: &Errand) -> bool {
        (&self.directory, &self.wanted) == (&errand.directory, &errand.wanted)
    }
}

// === impl Errand ===

impl Errand {
    async fn run(&self) {
        let (mut next, mut pause) = (Instant::now(), FIRST_PAUSE);
        while !self.is_there() {
            if let Some(wanted) = self.wanted.as_ref().filter(|_| Instant::now() >= next) {
                if let Err(error) = self.fetch(wanted).await {
                    tracing::warn!(error = error.chain(), "An environment could not be fetched");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                next = Instant::now() + pause;
            } else {
                sleep(LOOK).await;
            }
        }
    }

    fn is_there(&self) -> bool {
        Path::new(&self.directory).is_dir()
    }

    fn home(&self) -> PathBuf {
        let directory = Path::new(&self.directory);
        directory.parent().unwrap_or(directory).to_owned()
    }

    async fn fetch(&self, wanted: &EnvironmentAssignment) -> Result<()> {
        let _alone = self.alone().await?;
        if self.is_there() {
            return Ok(());
        }
        let node: String = self.node.chars().take(8).collect();
        let aside = Aside::new(
            self.home(),
            format!("{ASIDE}{}-{node}", wanted.digest),
            self.owner,
        );
        let offer = aside
            .download(&self.control, &wanted.digest, wanted.disk_bytes)
            .await?;
        if offer.is_none() {
            return Ok(());
        }
        let (wanted, into) = (wanted.clone(), PathBuf::from(&self.directory));
        blocking(move || {
            aside.unpack(Path::new(&wanted.base_dir), wanted.disk_bytes, &into)?;
            aside.end()
        })
        .await?;
        tracing::info!(environment = self.directory, "An environment was fetched");
        Ok(())
    }

    /// A home in order, and nobody else of this machine at it.
    async fn alone(&self) -> Result<Lock> {
        let (home, owner) = (self.home(), self.owner);
        let keep = self.wanted.as_ref().map(|wanted| wanted.keep.clone());
        blocking(move || {
            let place = open_home(&home, owner)?;
            let lock = Lock::wait(&place, LOCK, false)?;
            tidy(&home, &keep.unwrap_or_default());
            Ok(lock)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::Environment("it was broken off".to_owned())))
}
