//! All processes that belong to a service: descendants, and members of its group and session, also after their
//! parents are gone; and those that made a session of their own, by the mark in the environment they inherited.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;

use super::{ProcessId, Stat};

/// The processes of the machine at one moment.
#[derive(Debug, Default)]
pub struct Tree {
    processes: BTreeMap<i32, Stat>,
}

// === impl Tree ===

impl Tree {
    #[must_use]
    pub fn read() -> Self {
        Self::from_stats(Stat::read_all())
    }

    #[must_use]
    pub fn from_stats(stats: impl IntoIterator<Item = Stat>) -> Self {
        Self {
            processes: stats.into_iter().map(|stat| (stat.pid, stat)).collect(),
        }
    }

    #[must_use]
    pub fn get(&self, pid: i32) -> Option<&Stat> {
        self.processes.get(&pid)
    }

    /// The living members of what `root` leads or led.
    #[must_use]
    pub fn members(&self, root: ProcessId) -> BTreeSet<ProcessId> {
        // A leader's pid is not given away while its session has members: another process there means it is over.
        let usurped = self
            .get(root.pid)
            .is_some_and(|stat| stat.start_time != root.start_time);
        if usurped {
            return BTreeSet::new();
        }
        let mut led = BTreeSet::from([root.pid]);
        let mut members = BTreeSet::new();
        loop {
            let before = members.len();
            for stat in self.processes.values() {
                let belongs = led.contains(&stat.pid)
                    || led.contains(&stat.parent)
                    || led.contains(&stat.session)
                    || led.contains(&stat.group);
                // What is older than the root can't be its child: a pid that was given away and taken again.
                if belongs && stat.start_time >= root.start_time {
                    members.insert(stat.pid);
                    led.insert(stat.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        members
            .into_iter()
            .filter_map(|pid| self.get(pid))
            .filter(|stat| !stat.is_dead())
            .map(|stat| ProcessId {
                pid: stat.pid,
                start_time: stat.start_time,
            })
            .collect()
    }

    /// The living processes of this user that `root` leads or led, and those that carry the mark.
    #[must_use]
    pub fn belonging(&self, root: ProcessId, mark: &str, uid: u32) -> BTreeSet<ProcessId> {
        let mut all = self.members(root);
        all.extend(self.marked(mark, uid));
        all.retain(|id| id.uid() == Some(uid));
        all
    }

    /// The living processes of this user that were started with the mark.
    fn marked(&self, mark: &str, uid: u32) -> impl Iterator<Item = ProcessId> {
        let entry = format!("{MARK}={mark}").into_bytes();
        self.processes
            .values()
            .filter(|stat| !stat.is_dead())
            .map(|stat| ProcessId {
                pid: stat.pid,
                start_time: stat.start_time,
            })
            .filter(move |id| id.uid() == Some(uid) && carries(id.pid, &entry))
    }
}

fn carries(pid: i32, entry: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|found| found == entry)
}

/// In the environment of every process of a service, with the service's mark.
pub const MARK: &str = "UPDRAFT_SERVICE";

/// Kills all of `root`'s tree that runs as `uid`, and what carries its mark, looking again until nothing new appears.
/// Returns how many.
#[must_use]
pub fn kill_tree(root: ProcessId, mark: &str, uid: u32) -> usize {
    kill_all(|tree| tree.belonging(root, mark, uid))
}

/// Kills all that carries the mark and runs as `uid`: what an agent that was killed left behind. Returns how many.
#[must_use]
pub fn kill_marked(mark: &str, uid: u32) -> usize {
    kill_all(|tree| tree.marked(mark, uid).collect())
}

fn kill_all(members: impl Fn(&Tree) -> BTreeSet<ProcessId>) -> usize {
    let mut killed = BTreeSet::new();
    // Each round stops forks of the one before; a tree deeper than this is not being killed but is growing.
    for _ in 0..20 {
        let fresh: Vec<_> = members(&Tree::read())
            .into_iter()
            .filter(|id| !killed.contains(id))
            .collect();
        if fresh.is_empty() {
            break;
        }
        for id in fresh {
            if let Err(error) = id.signal(Signal::KILL) {
                tracing::warn!(process.pid = id.pid, %error, "A process could not be killed");
            }
            killed.insert(id);
        }
    }
    killed.len()
}

#[cfg(test)]
mod tests {
    use super::{ProcessId, Stat, Tree};

    fn process(pid: i32, parent: i32, session: i32, start_time: u64) -> Stat {
        Stat {
            pid,
            state: 'S',
            parent,
            group: session,
            session,
            cpu_ticks: 0,
            start_time,
        }
    }

    fn pids(tree: &Tree, pid: i32, start_time: u64) -> Vec<i32> {
        tree.members(ProcessId { pid, start_time })
            .into_iter()
            .map(|id| id.pid)
            .collect()
    }

    #[test]
    fn children_and_orphans_of_the_session_belong_to_it() {
        let tree = Tree::from_stats([
            process(10, 1, 10, 100),
            process(11, 10, 10, 101),
            process(12, 11, 12, 102), // began a session of its own
            process(13, 1, 10, 103),  // its parent is gone
            process(14, 1, 12, 104),  // so is this one's
            process(20, 1, 20, 100),
        ]);
        assert_eq!(pids(&tree, 10, 100), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn what_outlives_its_leader_is_still_found() {
        let tree = Tree::from_stats([process(11, 1, 10, 101), process(12, 11, 10, 102)]);
        assert_eq!(pids(&tree, 10, 100), [11, 12]);
    }

    #[test]
    fn a_reused_pid_has_no_members() {
        let tree = Tree::from_stats([process(10, 1, 10, 900), process(11, 10, 10, 901)]);
        assert!(pids(&tree, 10, 100).is_empty());
    }
}
