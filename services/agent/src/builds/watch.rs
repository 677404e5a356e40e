//! What a build takes, all of its processes together, and when that is too much.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use updraft_api::agent::{BuildLimits, BuildRefusal};

use crate::process::{ProcessId, Tree};

/// Looks between two measurements of the disk, which take longer.
const DISK_EACH: u32 = 5;
const MIB: u64 = 1024 * 1024;

/// Looks at one build's processes and files.
#[derive(Debug)]
pub(crate) struct Watch {
    root: ProcessId,
    mark: String,
    uid: u32,
    limits: BuildLimits,
    looks: u32,
}

/// What processes keep in files that have no name: as long as one of them has it open, it is there.
#[derive(Debug, Default)]
struct Held {
    memory: u64,
    disk: u64,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(root: ProcessId, mark: String, uid: u32, limits: BuildLimits) -> Self {
        Self {
            root,
            mark,
            uid,
            limits,
            looks: 0,
        }
    }

    /// What is exceeded, if anything is, in words.
    pub(crate) fn look(&mut self, directory: &Path) -> Option<(BuildRefusal, String)> {
        self.looks += 1;
        let processes = Tree::read().belonging(self.root, &self.mark, self.uid);
        let count = u32::try_from(processes.len()).unwrap_or(u32::MAX);
        if count > self.limits.processes {
            let most = self.limits.processes;
            return Some((
                BuildRefusal::Processes,
                format!("It ran more than {most} processes at once."),
            ));
        }
        if let Some(refused) = self.look_for_namespaces(&processes) {
            return Some(refused);
        }
        let held = Held::by(&processes);
        let memory: u64 = processes.iter().map(|process| resident(*process)).sum();
        if memory + held.memory > self.limits.memory_bytes {
            let most = self.limits.memory_bytes / MIB;
            return Some((
                BuildRefusal::Memory,
                format!("It took more than {most} MiB of memory."),
            ));
        }
        if !self.looks.is_multiple_of(DISK_EACH) {
            return None;
        }
        self.exceeds_disk(on_disk(directory) + held.disk)
    }

    /// The same for the disk alone, once when the build has ended.
    pub(crate) fn look_at_disk(&self, directory: &Path) -> Option<(BuildRefusal, String)> {
        self.exceeds_disk(on_disk(directory))
    }

    fn exceeds_disk(&self, bytes: u64) -> Option<(BuildRefusal, String)> {
        let most = self.limits.disk_bytes / MIB;
        (bytes > self.limits.disk_bytes).then(|| {
            (
                BuildRefusal::Disk,
                format!("It took more than {most} MiB of disk."),
            )
        })
    }

    /// What lies in a file system that only a process's own namespace has is nobody's to count.
    fn look_for_namespaces(&self, processes: &BTreeSet<ProcessId>) -> Option<(BuildRefusal, String)> {
        let own = mounts(self.root)?;
        let away = processes
            .iter()
            .any(|process| mounts(*process).is_some_and(|other| other != own));
        // At its beginning the root goes into the enclosure itself, and what it starts there was seen beside where it came from.
        let is_settled = mounts(self.root).is_some_and(|now| now == own);
        (away && is_settled).then(|| {
            let words =
                "It made a mount namespace of its own, and file systems in memory there are not counted.";
            (BuildRefusal::Memory, words.to_owned())
        })
    }
}

// === impl Held ===

impl Held {
    fn by(processes: &BTreeSet<ProcessId>) -> Self {
        let mut seen = BTreeSet::new();
        let mut held = Self::default();
        for process in processes {
            let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid));
            for entry in open.into_iter().flatten().flatten() {
                let Ok(name) = std::fs::read_link(entry.path()) else {
                    continue;
                };
                let Ok(file) = std::fs::metadata(entry.path()) else {
                    continue;
                };
                if !file.is_file() || file.nlink() > 0 || !seen.insert((file.dev(), file.ino())) {
                    continue;
                }
                let bytes = file.blocks() * 512;
                let name = name.to_string_lossy();
                if name.starts_with("/memfd:") || name.starts_with("/SYSV") {
                    held.memory += bytes;
                } else {
                    held.disk += bytes;
                }
            }
        }
        held
    }
}

fn mounts(process: ProcessId) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{}/ns/mnt", process.pid)).ok()
}

fn resident(process: ProcessId) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", process.pid)).unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1);
    let pages: u64 = pages.and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

fn on_disk(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.path().symlink_metadata().ok()?)))
        .map(|(path, meta)| {
            let inner = if meta.is_dir() { on_disk(&path) } else { 0 };
            meta.blocks() * 512 + inner
        })
        .sum()
}
