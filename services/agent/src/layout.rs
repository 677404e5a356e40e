//! What lies where below a node's directory, and who owns it.
//!
//! | path | owner | holds |
//! |---|---|---|
//! | `agent/` | agent | identity, assignment, events not reported yet, where each log stands; `heard`: control took a report; `releases/`: agents |
//! | `run/` | agent | one record per service: pid and start time |
//! | `logs/` | shared, sticky | `<service>.log`; services may add their own below it |
//! | `work/` | service user | the services' working directory and home |
//! | `exit/` | service user | exit statuses of forked services |
//! | `bootstrap/` | agent, readable | what the node's script left, by its digest: the service user's |
//! | `dags/` | agent, readable | `current`, `versions/`; `wanted/` and `notes/` belong to the service user |
//! | `stop` | provider | asks for an orderly stop |

use std::path::PathBuf;
use std::sync::Arc;

use updraft_model::ServiceName;

use crate::error::Result;
use crate::place::{Ownership, Place};

pub(crate) const IDENTITY: &str = "agent/identity.json";
pub(crate) const ASSIGNMENT: &str = "agent/assignment.json";
pub(crate) const EVENTS: &str = "agent/events.json";
/// Control took a report of this agent. The unit removes it before each start, `infra/boot/user-data.sh` waits for it.
pub(crate) const HEARD: &str = "agent/heard";
pub(crate) const LOCK: &str = "agent/lock";
pub(crate) const STOP: &str = "stop";
/// Digests of the scripts that this node has run.
pub(crate) const SCRIPTS: &str = "agent/scripts.json";
/// Digest of the tenant's own metadata database that was found good.
pub(crate) const METADATA: &str = "agent/metadata";
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// A node's directory in order.
#[derive(Clone, Debug)]
pub struct Layout {
    place: Arc<Place>,
}

// === impl Layout ===

impl Layout {
    /// Makes what is missing and corrects owners and modes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure(place: Place) -> Result<Self> {
        use Ownership::{Agent, Service, Shared};
        place.secure(0o750, Shared)?;
        for (path, mode, ownership) in [
            ("agent", 0o700, Agent),
            ("run", 0o700, Agent),
            ("logs", 0o1770, Shared),
            ("work", 0o700, Service),
            ("exit", 0o700, Service),
            (BOOTSTRAP, 0o750, Shared),
            ("dags", 0o750, Shared),
            ("dags/versions", 0o750, Shared),
            ("dags/incoming", 0o700, Agent),
            ("dags/wanted", 0o700, Service),
            ("dags/notes", 0o700, Service),
        ] {
            place.directory(path, mode, ownership)?;
        }
        Ok(Self {
            place: Arc::new(place),
        })
    }

    /// Without making or correcting anything.
    pub(crate) fn as_it_is(place: Place) -> Self {
        Self {
            place: Arc::new(place),
        }
    }

    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.place.path().join(relative)
    }
}

pub(crate) fn log(service: ServiceName) -> String {
    format!("logs/{service}.log")
}

pub(crate) fn record(service: ServiceName) -> String {
    format!("run/{service}.json")
}

pub(crate) fn exit_status(service: ServiceName) -> String {
    format!("exit/{service}")
}
