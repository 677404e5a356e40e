//! Failures of the bucket: how long to wait before the next try, and whether only one should try.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);
/// So many failures in a row, of whatever files, are the bucket's.
const AWAY: u32 = 4;

#[derive(Debug, Default)]
pub(crate) struct Trouble {
    in_a_row: u32,
    not_before: Option<Instant>,
    /// What was last said.
    pub(crate) reason: Option<String>,
}

// === impl Trouble ===

impl Trouble {
    pub(crate) fn failed(&mut self, reason: String, now: Instant) {
        self.in_a_row += 1;
        if self.is_away() {
            self.not_before = Some(now + pause(self.in_a_row - AWAY));
        }
        self.reason = Some(reason);
    }

    pub(crate) fn worked(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_away(&self) -> bool {
        self.in_a_row >= AWAY
    }

    /// How many may try at once.
    pub(crate) fn room(&self, usual: usize, now: Instant) -> usize {
        match self.not_before {
            Some(at) if self.is_away() => usize::from(now >= at),
            _ => usual,
        }
    }
}

/// Doubling, up to a quarter of a minute, each time somewhere between half of it and all: nodes do not come back as one.
pub(crate) fn pause(failures: u32) -> Duration {
    let whole = (FIRST * 2_u32.pow(failures.min(10))).min(LONGEST);
    let random = RandomState::new().build_hasher().finish() % 1_000;
    whole / 2 + whole / 2 * u32::try_from(random).unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Trouble, pause};

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        assert!(pause(0) >= Duration::from_millis(125) && pause(0) <= Duration::from_millis(250));
        assert!(pause(99) >= Duration::from_millis(7_500) && pause(99) <= Duration::from_secs(15));
        assert!((0..20).any(|_| pause(99) != pause(99)));
    }

    #[test]
    fn only_one_tries_while_the_bucket_is_away() {
        let now = Instant::now();
        let mut trouble = Trouble::default();
        for _ in 0..3 {
            trouble.failed("away".to_owned(), now);
            assert_eq!(trouble.room(4, now), 4);
        }
        trouble.failed("away".to_owned(), now);
        assert_eq!(trouble.room(4, now), 0);
        assert_eq!(trouble.room(4, now + Duration::from_secs(1)), 1);
        trouble.worked();
        assert_eq!(trouble.room(4, now), 4);
    }
}
