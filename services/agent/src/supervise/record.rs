//! What an agent leaves on disk of each service, for the agent after it.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_model::ServiceName;

use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::place::Ownership;
use crate::process::{ProcessId, Stat};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A child of the agent that started it.
    Direct,
    /// A child of the pre-imported parent, which writes its exit status to a file.
    Prefork,
}

/// One service's latest process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub name: ServiceName,
    /// Of the kernel that ran it: pids and start times mean nothing to another.
    #[serde(default)]
    pub boot: String,
    /// None while it is being spawned: an agent that died just then looks for a stray.
    pub process: Option<ProcessId>,
    pub started_at: DateTime<Utc>,
    pub origin: Origin,
    pub digest: String,
    pub restart_nonce: i64,
    /// Unasked-for restarts since the node began.
    pub restarts: u32,
    /// It was healthy once, so it need not be warmed again.
    pub proven: bool,
    /// Where this process's output begins in the log.
    pub log_offset: u64,
    /// Crashed leaders whose children were left to finish their work.
    #[serde(default)]
    pub orphaned: Vec<ProcessId>,
}

// === impl Record ===

impl Record {
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        let path = layout::record(self.name);
        let text = serde_json::to_vec(self).map_err(|source| Error::Format {
            path: layout.path(&path),
            source,
        })?;
        layout.place().write_soon(&path, &text, 0o600, Ownership::Agent)
    }

    /// Records of all services that ever ran here. One that can't be read is as good as none: strays are found by
    /// their log.
    #[must_use]
    pub fn load_all(layout: &Layout) -> Vec<Self> {
        ServiceName::ALL
            .iter()
            .filter_map(|name| {
                let bytes = layout.place().read(&layout::record(*name)).ok()??;
                serde_json::from_slice(&bytes).ok()
            })
            .collect()
    }
}

/// This kernel's run.
#[must_use]
pub fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A group leader whose output goes to `log`: the service of an agent that died before it could write its record.
#[must_use]
pub fn find_stray(log: &Path) -> Option<ProcessId> {
    Stat::read_all()
        .into_iter()
        .filter(|stat| !stat.is_dead() && stat.group == stat.pid)
        .filter(|stat| std::fs::read_link(format!("/proc/{}/fd/1", stat.pid)).is_ok_and(|path| path == log))
        .map(|stat| ProcessId {
            pid: stat.pid,
            start_time: stat.start_time,
        })
        .min_by_key(|id| id.start_time)
}
