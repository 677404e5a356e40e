//! `/proc/<pid>/stat` (proc_pid_stat(5)).

/// The fields an agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// User and system time, in clock ticks.
    pub cpu_ticks: u64,
    /// Clock ticks since boot: with the pid, it names one process.
    pub start_time: u64,
}

// === impl Stat ===

impl Stat {
    /// The process with this pid; `None` when there is none.
    #[must_use]
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Every process there is.
    #[must_use]
    pub fn read_all() -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Self::read)
            .collect()
    }

    /// Ended, though its parent has not asked how.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    fn parse(line: &str) -> Option<Self> {
        let pid = line.split_once(' ')?.0.parse().ok()?;
        // The name is in parentheses and may hold anything, parentheses too.
        let rest = &line[line.rfind(')')? + 1..];
        let field: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| field.get(index)?.parse::<i32>().ok();
        let large = |index: usize| field.get(index)?.parse::<u64>().ok();
        Some(Self {
            pid,
            state: field.first()?.chars().next()?,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            cpu_ticks: large(11)? + large(12)?,
            start_time: large(19)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn names_may_hold_anything() {
        let line =
            "7 (a) R 9 (b) S 1 7 7 0 -1 4194304 1 2 3 4 50 60 7 8 20 0 1 0 12345 99 11 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent, stat.session), (7, 'S', 1, 7));
        assert_eq!((stat.cpu_ticks, stat.start_time), (110, 12345));
    }

    #[test]
    fn this_process_is_found() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(
            Stat::read_all()
                .iter()
                .any(|stat| stat.pid == me && !stat.is_dead())
        );
    }
}
