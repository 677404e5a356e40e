//! Waiting for a turn instead of being refused: EC2's request limits, as it documents them, per action.
//!
//! The figures are those of <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html> (read November 2026):
//! describing with a filter or by pages 100 at once and 20 a second; changing 50 and 5; `RunInstances` and `StartInstances` 5 and
//! 2; `TerminateInstances` 100 and 5. They hold for an account and region, each action apart. Limits of instances (1,000
//! and 2 a second for `RunInstances`) are met by the same pace, since a request is for one instance.
//!
//! At once, a second's worth less is asked for than a bucket holds. It is filled "every second", so what is asked for within one may
//! wait for its end, and requests do not all take equally long to get there: who uses up the bucket is then refused, though
//! it asks at the right rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota};

use crate::Service;

/// The buckets of one account and region. Clones share them.
#[derive(Clone, Debug)]
pub struct Pace {
    buckets: Arc<Mutex<HashMap<&'static str, Arc<DefaultDirectRateLimiter>>>>,
    speed: u32,
}

/// How many a bucket holds, and how many come back each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    burst: u32,
    per_second: u32,
}

// === impl Pace ===

impl Pace {
    /// Where time passes so many times as quickly, on the other side too: for tests.
    #[must_use]
    pub fn where_time_passes(speed: u32) -> Self {
        Self {
            buckets: Arc::default(),
            speed,
        }
    }

    /// Whether both wait for the same turns.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.buckets, &other.buckets)
    }

    /// Returns when the action may be asked for.
    pub async fn turn(&self, service: Service, action: &'static str) {
        if let Some(limit) = limit_of(service, action) {
            self.bucket(action, limit).until_ready().await;
        }
    }

    fn bucket(&self, action: &'static str, limit: Limit) -> Arc<DefaultDirectRateLimiter> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .entry(action)
            .or_insert_with(|| Arc::new(DefaultDirectRateLimiter::direct(limit.quota(self.speed))));
        Arc::clone(bucket)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::where_time_passes(1)
    }
}

// === impl Limit ===

impl Limit {
    fn quota(self, speed: u32) -> Quota {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let at_once = self.burst.saturating_sub(self.per_second);
        Quota::per_second(at_least_one(self.per_second.saturating_mul(speed)))
            .allow_burst(at_least_one(at_once))
    }
}

/// None: no documented limit that we come near.
fn limit_of(service: Service, action: &str) -> Option<Limit> {
    let (burst, per_second) = match (service.name, action) {
        ("ec2", "RunInstances" | "StartInstances") => (5, 2),
        ("ec2", "TerminateInstances") => (100, 5),
        ("ec2", "CreateTags" | "DeleteTags") => (100, 10),
        ("ec2", _) if action.starts_with("Describe") => (100, 20),
        ("ec2", _) => (50, 5),
        _ => return None,
    };
    Some(Limit { burst, per_second })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{EC2, STS};

    #[tokio::test]
    async fn launches_come_three_at_once_and_then_two_a_second() {
        let pace = Pace::default();
        let begun = Instant::now();
        for _ in 0..3 {
            pace.turn(EC2, "RunInstances").await;
        }
        let burst = begun.elapsed();
        pace.turn(EC2, "RunInstances").await;
        assert!(burst < Duration::from_millis(300), "{burst:?}");
        assert!(begun.elapsed() >= Duration::from_millis(450));
    }

    #[tokio::test]
    async fn where_time_passes_more_quickly_turns_come_more_quickly() {
        let pace = Pace::where_time_passes(20);
        let begun = Instant::now();
        for _ in 0..3 + 20 {
            pace.turn(EC2, "RunInstances").await;
        }
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(450) && took < Duration::from_secs(2),
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn each_action_waits_for_itself_alone() {
        let pace = Pace::default();
        for _ in 0..3 {
            pace.turn(EC2, "RunInstances").await;
        }
        let begun = Instant::now();
        pace.turn(EC2, "TerminateInstances").await;
        pace.turn(STS, "AssumeRole").await;
        assert!(begun.elapsed() < Duration::from_millis(300));
    }
}
