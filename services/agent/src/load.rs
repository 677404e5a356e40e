//! How many tasks there are, as our part of the scheduler notes it: untrusted like everything that runs as the services' user.

use std::io::Read as _;
use std::time::Duration;

use rustix::fs::OFlags;
use updraft_api::task_load::TaskLoad;

use crate::layout::Layout;

/// As the runtime tells the scheduler.
const NOTE: &str = "work/task-load.json";
const LONGEST: u64 = 1 << 20;
/// The scheduler writes each 5 s.
const FRESH: Duration = Duration::from_secs(60);

/// None when that is not known now.
pub(crate) fn read(layout: &Layout) -> Option<TaskLoad> {
    let file = layout.place().open_file(NOTE, OFlags::RDONLY).ok()?;
    let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let age = meta.modified().ok()?.elapsed().unwrap_or_default();
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|_| age < FRESH)
}
