//! From single answers to a verdict. Pure.

use std::time::Instant;

use crate::plan::Health;

/// So many bad answers in a row mean that a service that was healthy is not.
const FAILURES: u32 = 3;

/// One check's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Healthy,
    /// It definitely does not work; the reason is for people.
    Unhealthy(String),
    /// Nobody could say.
    Unknown(String),
}

/// What the answers so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    health: Health,
    failures: u32,
}

// === impl Outcome ===

impl Outcome {
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy(reason) | Self::Unknown(reason) => Some(reason),
        }
    }
}

// === impl Verdict ===

impl Default for Verdict {
    fn default() -> Self {
        Self {
            health: Health::Unproven,
            failures: 0,
        }
    }
}

impl Verdict {
    /// Of a process that was healthy under an earlier agent: what it is now, nobody has asked yet.
    #[must_use]
    pub fn remembered(now: Instant) -> Self {
        Self {
            health: Health::Unknown { since: now },
            failures: 0,
        }
    }

    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Healthy as far as anybody knows.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(self.health, Health::Healthy | Health::Unknown { .. })
    }

    #[must_use]
    pub fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    #[must_use]
    pub fn after(self, outcome: &Outcome, now: Instant) -> Self {
        match (outcome, self.health) {
            (Outcome::Healthy, _) => Self {
                health: Health::Healthy,
                failures: 0,
            },
            (_, Health::Unproven)
            | (Outcome::Unknown(_), Health::Failing { .. } | Health::Unknown { .. }) => self,
            (Outcome::Unknown(_), Health::Healthy) => Self {
                health: Health::Unknown { since: now },
                ..self
            },
            (Outcome::Unhealthy(_), Health::Failing { .. }) => self,
            (Outcome::Unhealthy(_), Health::Healthy | Health::Unknown { .. })
                if self.failures + 1 < FAILURES =>
            {
                Self {
                    failures: self.failures + 1,
                    ..self
                }
            }
            (Outcome::Unhealthy(_), Health::Healthy | Health::Unknown { .. }) => Self {
                health: Health::Failing { since: now },
                failures: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Health, Outcome, Verdict};

    fn bad() -> Outcome {
        Outcome::Unhealthy("no".to_owned())
    }

    #[test]
    fn one_bad_answer_is_no_verdict_but_three_are() {
        let now = Instant::now();
        let healthy = Verdict::default()
            .after(&bad(), now)
            .after(&Outcome::Healthy, now);
        assert_eq!(healthy.health(), Health::Healthy);
        let twice = healthy.after(&bad(), now).after(&bad(), now);
        assert!(twice.is_healthy());
        assert_eq!(twice.after(&bad(), now).health(), Health::Failing { since: now });
        assert!(
            twice
                .after(&Outcome::Healthy, now)
                .after(&bad(), now)
                .is_healthy()
        );
    }

    #[test]
    fn not_knowing_is_neither_good_nor_bad() {
        let now = Instant::now();
        let unknown = Outcome::Unknown("silence".to_owned());
        assert_eq!(Verdict::default().after(&unknown, now).health(), Health::Unproven);
        let healthy = Verdict::default().after(&Outcome::Healthy, now);
        assert_eq!(
            healthy.after(&unknown, now).health(),
            Health::Unknown { since: now }
        );
    }
}
