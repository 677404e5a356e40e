//! How long to wait before the same is asked again: full jitter, so that many who were refused do not come back together.

use std::time::Duration;

use rand::Rng as _;

/// How often one call is sent.
pub(crate) const ATTEMPTS: u32 = 5;
/// All attempts of one call, with what is waited between them.
pub(crate) const WITHIN: Duration = Duration::from_secs(25);

const FIRST: Duration = Duration::from_millis(100);
/// Buckets refill by the second.
const FIRST_THROTTLED: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// The pause after this attempt, the first being 1. `share` is from 0 to 1.
pub(crate) fn pause(attempt: u32, throttled: bool, share: f64) -> Duration {
    let first = if throttled { FIRST_THROTTLED } else { FIRST };
    let highest = first.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST);
    highest.mul_f64(share.clamp(0.0, 1.0))
}

pub(crate) fn share() -> f64 {
    rand::rng().random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_spread() {
        assert_eq!(pause(1, false, 1.0), Duration::from_millis(200));
        assert_eq!(pause(3, false, 1.0), Duration::from_millis(800));
        assert_eq!(pause(3, true, 0.5), Duration::from_secs(2));
        assert_eq!(pause(40, true, 1.0), LONGEST);
        assert_eq!(pause(5, true, 0.0), Duration::ZERO);
    }
}
