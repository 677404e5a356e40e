//! When a schedule starts and stops its cluster. Pure: what time it is comes in.
//!
//! A time that the clocks jump over counts at the first moment after it; a time that they show twice counts once, at its
//! first. Of times that were missed only the newest counts.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use updraft_model::{Power, Schedule};

/// A schedule that makes sense.
#[derive(Clone, Debug)]
pub struct Calendar {
    start: Option<Cron>,
    stop: Option<Cron>,
    zone: Tz,
}

/// Why a schedule makes no sense: the field, and what belongs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSchedule {
    pub field: &'static str,
    pub why: String,
}

/// When it does something next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upcoming {
    pub start: Option<DateTime<Utc>>,
    pub stop: Option<DateTime<Utc>>,
}

// === impl Calendar ===

impl Calendar {
    /// # Errors
    /// The first field that makes no sense.
    pub fn of(schedule: &Schedule) -> Result<Self, InvalidSchedule> {
        let zone = schedule.time_zone.parse().map_err(|_| InvalidSchedule {
            field: "time_zone",
            why: "write the IANA name of a time zone, for example Europe/Berlin".to_owned(),
        })?;
        let times = |field, pattern: &Option<String>| match pattern {
            Some(pattern) => times(field, pattern).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            start: times("start", &schedule.start)?,
            stop: times("stop", &schedule.stop)?,
            zone,
        })
    }

    /// The newest time after `after`, up to `until`, with what it asks for. Where a stop and a start fall together, the cluster
    /// is to run.
    #[must_use]
    pub fn newest(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<(DateTime<Utc>, Power)> {
        let last = |cron: &Option<Cron>, power| {
            let at = cron
                .as_ref()?
                .find_previous_occurrence(&self.here(until), true)
                .ok()?;
            Some((at.with_timezone(&Utc), power))
        };
        let both = [
            last(&self.stop, Power::Stopped),
            last(&self.start, Power::Running),
        ];
        let missed = both.into_iter().flatten().filter(|(at, _)| *at > after);
        missed.max_by_key(|(at, _)| *at)
    }

    #[must_use]
    pub fn upcoming(&self, after: DateTime<Utc>) -> Upcoming {
        let next = |cron: &Option<Cron>| {
            let at = cron
                .as_ref()?
                .find_next_occurrence(&self.here(after), false)
                .ok()?;
            Some(at.with_timezone(&Utc))
        };
        Upcoming {
            start: next(&self.start),
            stop: next(&self.stop),
        }
    }

    fn here(&self, at: DateTime<Utc>) -> DateTime<Tz> {
        at.with_timezone(&self.zone)
    }
}

// === impl Upcoming ===

impl Upcoming {
    #[must_use]
    pub fn earliest(self) -> Option<DateTime<Utc>> {
        [self.start, self.stop].into_iter().flatten().min()
    }
}

fn times(field: &'static str, pattern: &str) -> Result<Cron, InvalidSchedule> {
    let refuse = |why: &str| InvalidSchedule {
        field,
        why: why.to_owned(),
    };
    // Five fields, and none of the parser's own additions.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '*' | ',' | '-' | '/');
    if pattern.len() > 100 || !pattern.chars().all(plain) || pattern.split_whitespace().count() != 5 {
        return Err(refuse(
            "write a cron expression of five fields, for example 0 7 * * 1-5",
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let cron = parser.parse(pattern).map_err(|error| {
        refuse(&format!(
            "is no cron expression ({error}): write five fields, for example 0 7 * * 1-5"
        ))
    })?;
    cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false)
        .map_err(|_| refuse("names no day that ever comes"))?;
    Ok(cron)
}
