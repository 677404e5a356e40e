//! What log files there are: all below `logs/`, and the agent's own. No link is followed, whoever made it.
//!
//! Looked for by walking, not by inotify: a watch for each task's directory would cost kernel memory and a limit that is the
//! machine's, while a walk over what the node keeps takes a few milliseconds and finds what was renamed too.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, StatxFlags};
use serde::{Deserialize, Serialize};
use updraft_api::log_layout::LogSource;

use crate::place::Place;

const LOGS: &str = "logs";
const AGENT: &str = "agent.log";
const DEEPEST: usize = 12;
/// A task could make files for ever.
const MOST: usize = 200_000;

/// One file, whatever it is called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not know.
    pub(crate) born: i64,
}

/// A file as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) identity: Identity,
    /// Relative to the node's directory.
    pub(crate) path: String,
    pub(crate) length: u64,
    /// What it takes on the disk.
    pub(crate) taken: u64,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

// === impl Seen ===

impl Seen {
    /// Whose log it is, by its name; none when it is named as no log is.
    pub(crate) fn source(&self) -> Option<LogSource> {
        let below = self.path.strip_prefix("logs/").unwrap_or(&self.path);
        let parts: Vec<&[u8]> = below.split('/').map(str::as_bytes).collect();
        LogSource::of_path(&parts)
    }

    /// Of an open file, or of one in a directory; none when it is no regular file.
    pub(crate) fn of(directory: impl AsFd, name: &str, path: String) -> Option<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let stat = rustix::fs::statx(directory, name, flags, wanted).ok()?;
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::RegularFile {
            return None;
        }
        let born = if stat.stx_mask & StatxFlags::BTIME.bits() == 0 {
            0
        } else {
            stat.stx_btime.tv_sec * 1_000_000_000 + i64::from(stat.stx_btime.tv_nsec)
        };
        Some(Self {
            identity: Identity {
                inode: stat.stx_ino,
                born,
            },
            path,
            length: stat.stx_size,
            taken: stat.stx_blocks * 512,
            modified: stat.stx_mtime.tv_sec,
        })
    }
}

/// All log files of the node, and the directories of tasks that are empty.
pub(crate) fn walk(place: &Place) -> Walk {
    let mut walk = Walk::default();
    if let Ok(top) = place.look_into("") {
        walk.files.extend(Seen::of(&top, AGENT, AGENT.to_owned()));
    }
    if let Ok(logs) = place.look_into(LOGS) {
        walk.complete = true;
        walk.enter(&logs, LOGS, 0);
    }
    walk
}

#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) files: Vec<Seen>,
    /// Directories below `logs/` with nothing in them, and when that last changed.
    pub(crate) empty: Vec<(String, i64)>,
    /// Whether what was not found is not there.
    pub(crate) complete: bool,
}

// === impl Walk ===

impl Walk {
    fn enter(&mut self, directory: &OwnedFd, path: &str, depth: usize) {
        let Ok(entries) = Dir::read_from(directory) else {
            self.complete = false;
            return;
        };
        let mut is_empty = true;
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            is_empty = false;
            // Airflow's names are text; what is not is nobody's log.
            if let Ok(name) = name.to_str() {
                self.meet(
                    directory,
                    name,
                    format!("{path}/{name}"),
                    entry.file_type(),
                    depth,
                );
            }
        }
        if is_empty && depth > 1 {
            let modified = rustix::fs::fstat(directory).map_or(i64::MAX, |stat| stat.st_mtime);
            self.empty.push((path.to_owned(), modified));
        }
    }

    fn meet(&mut self, directory: &OwnedFd, name: &str, path: String, kind: FileType, depth: usize) {
        if self.files.len() >= MOST {
            self.complete = false;
            return;
        }
        match kind {
            FileType::Directory if depth < DEEPEST => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
                if let Ok(inner) = rustix::fs::openat(directory, name, flags, Mode::empty()) {
                    self.enter(&inner, &path, depth + 1);
                }
            }
            FileType::RegularFile => self.files.extend(Seen::of(directory, name, path)),
            _ => {}
        }
    }
}
