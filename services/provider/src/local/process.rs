//! Processes by pid and start time, and the end of everything that a node ever started.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A pid and when it began: the name of one process until the machine restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ProcessId {
    pub(super) pid: i32,
    /// Clock ticks since boot.
    pub(super) start_time: u64,
}

/// One line of `/proc/<pid>/stat` (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug)]
struct Stat {
    id: ProcessId,
    state: char,
    session: i32,
    has_terminal: bool,
}

// === impl ProcessId ===

impl ProcessId {
    /// The process that has this pid now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Some(Stat::read(pid)?.id)
    }

    pub(super) fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.id == self && !stat.is_dead())
    }

    /// Whether the session of this number is, or was, this process's. While members live the kernel gives the number
    /// to nobody else, so a dead leader's is still told from another's.
    fn led_a_session(self) -> bool {
        Stat::read(self.pid).is_none_or(|stat| stat.id == self && stat.session == self.pid)
    }
}

/// What tells this run of the kernel from others.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Kills every process of a node, and what they fork meanwhile: those that `leaders` and the files in `records` name,
/// the sessions these led, and whoever works below `dir` or has it in its environment. False: some are still there.
pub(super) fn end_all(dir: &Path, records: &Path, leaders: &[ProcessId]) -> bool {
    let mut known: HashSet<ProcessId> = leaders.iter().copied().collect();
    known.extend(recorded(records));
    let sessions: HashSet<i32> = known
        .iter()
        .filter(|id| id.led_a_session())
        .map(|id| id.pid)
        .collect();
    for _ in 0..250 {
        let is_theirs = |stat: &Stat| {
            known.contains(&stat.id)
                || sessions.contains(&stat.session)
                || (!stat.has_terminal && names(stat.id.pid, dir))
        };
        let theirs: Vec<Stat> = Stat::all()
            .into_iter()
            .filter(|stat| !stat.is_dead() && is_theirs(stat))
            .collect();
        if theirs.is_empty() {
            return true;
        }
        theirs.iter().for_each(|stat| kill(stat.id));
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn kill(id: ProcessId) {
    if let Some(pid) = Pid::from_raw(id.pid).filter(|_| id.is_alive()) {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Every process that files in this directory name, however deep.
fn recorded(dir: &Path) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let boot = boot_id();
    let files = entries
        .filter_map(|entry| super::layout::read_json::<Value>(&entry.ok()?.path()))
        .filter(|value| {
            value["boot"]
                .as_str()
                .is_none_or(|of| of.is_empty() || of == boot)
        });
    let mut found = Vec::new();
    files.for_each(|value| collect(&value, &mut found));
    found
}

fn collect(value: &Value, found: &mut Vec<ProcessId>) {
    match value {
        Value::Object(fields) => {
            found.extend(serde_json::from_value::<ProcessId>(value.clone()).ok());
            fields.values().for_each(|field| collect(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether the process works below `dir` or has it in the environment it was started with. Somebody's shell that happens
/// to be there is told by its terminal.
fn names(pid: i32, dir: &Path) -> bool {
    let works_below = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    works_below || environment_names(pid, dir)
}

fn environment_names(pid: i32, dir: &Path) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let values = environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry.splitn(2, |byte| *byte == b'=').nth(1));
    values
        .map(|value| Path::new(OsStr::from_bytes(value)))
        .any(|path| path.starts_with(dir))
}

// === impl Stat ===

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn all() -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Self::read)
            .collect()
    }

    /// Ended, though its parent has not asked how.
    fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    fn parse(line: &str) -> Option<Self> {
        let pid = line.split_once(' ')?.0.parse().ok()?;
        // The name is in parentheses and may hold anything, parentheses too.
        let field: Vec<&str> = line[line.rfind(')')? + 1..].split_ascii_whitespace().collect();
        Some(Self {
            id: ProcessId {
                pid,
                start_time: field.get(19)?.parse().ok()?,
            },
            state: field.first()?.chars().next()?,
            session: field.get(3)?.parse().ok()?,
            has_terminal: *field.get(4)? != "0",
        })
    }
}
