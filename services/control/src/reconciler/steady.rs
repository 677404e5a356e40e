//! A clock that nobody sets: what is measured with it is never long because a clock was put right, or a laptop slept.

use std::sync::OnceLock;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

static BEGINNING: OnceLock<(DateTime<Utc>, Instant)> = OnceLock::new();

/// The time at which this was first asked, and what has passed since.
pub(super) fn now() -> DateTime<Utc> {
    let (at, instant) = BEGINNING.get_or_init(|| (Utc::now(), Instant::now()));
    *at + TimeDelta::from_std(instant.elapsed()).unwrap_or(TimeDelta::MAX)
}
