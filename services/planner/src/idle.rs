//! Whether a cluster is idle for so long that it is to stop. Pure: what time it is comes in.
//!
//! What is not known counts as use. So does a run that is due within the time that the cluster may be idle: it would be stopped only
//! to be wanted again. Nothing stops that people were not told of before, and what they were told before control was away is told anew.

use chrono::{DateTime, TimeDelta, Utc};

use crate::limits::{IDLE_NOTICE, IDLE_UNWATCHED, LOOK_IDLE, LOOK_IDLE_TOLD};

/// What is known of one cluster that stops when idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idleness {
    /// How long it may be idle.
    pub limit: TimeDelta,
    /// Whether it runs as it should, and nothing of it is being changed.
    pub is_steady: bool,
    /// Whether every edge that served lately still says who uses what.
    pub hears_edges: bool,
    /// Since when nothing runs in its Airflow, as its scheduler's node says; none when something does, or that is not known.
    pub quiet_since: Option<DateTime<Utc>>,
    /// When its scheduler begins the next run by itself, if ever.
    pub next_run_at: Option<DateTime<Utc>>,
    /// When somebody last used its pages.
    pub used_at: DateTime<Utc>,
    /// When anything of it was last changed.
    pub changed_at: DateTime<Utc>,
    /// When it was last judged.
    pub looked_at: DateTime<Utc>,
    /// When it stops, as people were told.
    pub told: Option<DateTime<Utc>>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing. What people were told is no longer so.
    Stays {
        look_at: DateTime<Utc>,
    },
    /// People are to know of it.
    WillStop {
        idle_since: DateTime<Utc>,
        stop_at: DateTime<Utc>,
        look_at: DateTime<Utc>,
    },
    Stops {
        idle_since: DateTime<Utc>,
    },
}

#[must_use]
pub fn judge(seen: &Idleness, now: DateTime<Utc>) -> Verdict {
    let Some(idle_since) = idle_since(seen, now) else {
        return Verdict::Stays {
            look_at: now + LOOK_IDLE,
        };
    };
    let ends = idle_since + seen.limit;
    if now + IDLE_NOTICE < ends {
        return Verdict::Stays {
            look_at: (ends - IDLE_NOTICE).min(now + LOOK_IDLE),
        };
    }
    let was_watched = now - seen.looked_at < IDLE_UNWATCHED;
    let told = seen.told.filter(|_| was_watched);
    let stop_at = told.unwrap_or(now + IDLE_NOTICE).max(ends);
    if told.is_some() && stop_at <= now {
        return Verdict::Stops { idle_since };
    }
    Verdict::WillStop {
        idle_since,
        stop_at,
        look_at: stop_at.min(now + LOOK_IDLE_TOLD),
    }
}

/// None: it is in use, or nobody knows.
fn idle_since(seen: &Idleness, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_due = seen.next_run_at.is_some_and(|at| at <= now + seen.limit);
    if !seen.is_steady || !seen.hears_edges || is_due {
        return None;
    }
    Some(seen.quiet_since?.max(seen.used_at).max(seen.changed_at))
}
