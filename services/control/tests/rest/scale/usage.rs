//! What this process has used, and Postgres for it.

use std::collections::HashMap;
use std::time::Instant;

/// CPU time so far, and memory.
pub(super) struct Used {
    pub(super) at: Instant,
    pub(super) here_s: f64,
    /// By process.
    pub(super) postgres_s: HashMap<i32, f64>,
}

// === impl Used ===

impl Used {
    /// Percent of one core since: of this process, and of Postgres for it.
    pub(super) fn since(&self, before: &Self) -> (f64, f64) {
        let share = |cpu_s: f64| 100.0 * cpu_s / (self.at - before.at).as_secs_f64();
        let (here_s, postgres_s) = self.cpu_s_since(before);
        (share(here_s), share(postgres_s))
    }

    /// Seconds of CPU since: of this process, and of Postgres for it.
    pub(super) fn cpu_s_since(&self, before: &Self) -> (f64, f64) {
        let postgres = self
            .postgres_s
            .iter()
            .map(|(pid, now)| now - before.postgres_s.get(pid).unwrap_or(&0.0));
        (self.here_s - before.here_s, postgres.sum())
    }
}

/// User and system time of a process.
pub(super) fn cpu_s(process: &str) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
        return 0.0;
    };
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

pub(super) fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
