//! How long a service that ended waits for its next try.

use std::time::{Duration, Instant};

/// So many tries in a row that never became healthy are told as `service_cannot_start`.
pub const CANNOT_START_AFTER: u32 = 3;
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);
/// After so long in health, earlier failures are forgotten.
const STABLE: Duration = Duration::from_secs(60);

/// What a service's tries came to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Unasked-for ends in a row.
    failures: u32,
    /// Of these, the latest in a row that never became healthy.
    stillborn: u32,
    ended: Option<Instant>,
}

// === impl Attempts ===

impl Attempts {
    /// The process ended unasked. `healthy_for`: how long it had been healthy, none if it never was.
    #[must_use]
    pub fn after_failure(&self, healthy_for: Option<Duration>, now: Instant) -> Self {
        let earlier = if healthy_for.is_some_and(|time| time >= STABLE) {
            0
        } else {
            self.failures
        };
        let stillborn = if healthy_for.is_some() {
            0
        } else {
            self.stillborn + 1
        };
        Self {
            failures: earlier.saturating_add(1),
            stillborn,
            ended: Some(now),
        }
    }

    /// It became healthy: it can start after all.
    #[must_use]
    pub fn after_health(&self) -> Self {
        Self {
            stillborn: 0,
            ..self.clone()
        }
    }

    /// When it may be tried again; none: at once.
    #[must_use]
    pub fn not_before(&self) -> Option<Instant> {
        Some(self.ended? + self.pause())
    }

    #[must_use]
    pub fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            1 => FIRST,
            more => Duration::from_secs(1u64 << (more - 2).min(6)).min(LONGEST),
        }
    }

    /// It ended unasked after it had been healthy, or cannot start.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.stillborn >= CANNOT_START_AFTER || self.failures > self.stillborn
    }

    /// The failure that is worth an event, once per row.
    #[must_use]
    pub fn just_became_hopeless(&self) -> bool {
        self.stillborn == CANNOT_START_AFTER
    }
}
