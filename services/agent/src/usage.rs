//! What a node's processes use, from `/proc`.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::process::{ProcessId, Tree};

/// Between two looks at memory, which is dearer than CPU time.
const MEMORY_EVERY: u32 = 3;

/// Usage since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Of one core.
    pub(crate) cpu_percent: Option<f32>,
    pub(crate) memory_bytes: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Meter {
    ticks_per_second: u64,
    last: Option<(Instant, Vec<(ProcessId, u64)>)>,
    looks: u32,
    memory: Option<u64>,
}

// === impl Meter ===

impl Default for Meter {
    fn default() -> Self {
        Self {
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            last: None,
            looks: 0,
            memory: None,
        }
    }
}

impl Meter {
    /// Usage of all trees below `roots`. Reads every process of the machine: call it seldom, off the event loop.
    pub(crate) fn look(&mut self, roots: &[ProcessId], now: Instant) -> Usage {
        let tree = Tree::read();
        let members: BTreeSet<ProcessId> = roots.iter().flat_map(|root| tree.members(*root)).collect();
        let ticks: Vec<(ProcessId, u64)> = members
            .iter()
            .filter_map(|id| tree.get(id.pid).map(|stat| (*id, stat.cpu_ticks)))
            .collect();
        let cpu_percent = self.last.as_ref().map(|(then, before)| {
            let spent: u64 = ticks
                .iter()
                .map(|(id, ticks)| {
                    let earlier = before
                        .iter()
                        .find(|(other, _)| other == id)
                        .map_or(0, |(_, ticks)| *ticks);
                    ticks.saturating_sub(earlier)
                })
                .sum();
            let elapsed = (now - *then).as_secs_f32().max(0.001);
            100.0 * spent as f32 / self.ticks_per_second.max(1) as f32 / elapsed
        });
        if self.looks.is_multiple_of(MEMORY_EVERY) {
            self.memory = Some(members.iter().filter_map(|id| memory(id.pid)).sum());
        }
        self.looks = self.looks.wrapping_add(1);
        self.last = Some((now, ticks));
        Usage {
            cpu_percent,
            memory_bytes: self.memory,
        }
    }
}

/// Proportional set size: pages shared by forks are counted once.
fn memory(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
