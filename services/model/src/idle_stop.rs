//! After how long without use a cluster stops by itself.

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

const SHORTEST: u32 = 10;
const LONGEST: u32 = 30 * DAY;
const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

/// `2h`: a number of minutes, hours or days, ten minutes to 30 days; or `never`. Kept in minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^(never|[0-9]+[mhd])$", example = "2h")]
pub struct IdleStop(Option<u32>);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{given}` is no idle time: write 10m to 30d, for example 90m, 2h or 1d, or never")]
pub struct InvalidIdleStop {
    given: String,
}

// === impl IdleStop ===

impl IdleStop {
    /// None: it never stops for being idle.
    #[must_use]
    pub fn limit(self) -> Option<TimeDelta> {
        self.0.map(|minutes| TimeDelta::minutes(minutes.into()))
    }

    /// As `skip_serializing_if` asks.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.0.is_none()
    }
}

impl FromStr for IdleStop {
    type Err = InvalidIdleStop;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self::default());
        }
        let units = [('m', 1), ('h', HOUR), ('d', DAY)];
        let minutes = units.into_iter().find_map(|(unit, minutes)| {
            let digits = text.strip_suffix(unit)?;
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|_| plain)?.checked_mul(minutes)
        });
        let minutes = minutes.filter(|minutes| (SHORTEST..=LONGEST).contains(minutes));
        minutes
            .map(|minutes| Self(Some(minutes)))
            .ok_or_else(|| InvalidIdleStop {
                given: text.chars().filter(|c| !c.is_control()).take(60).collect(),
            })
    }
}

impl TryFrom<String> for IdleStop {
    type Error = InvalidIdleStop;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<IdleStop> for String {
    fn from(stop: IdleStop) -> Self {
        stop.to_string()
    }
}

impl fmt::Display for IdleStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("never"),
            Some(minutes) if minutes % DAY == 0 => write!(f, "{}d", minutes / DAY),
            Some(minutes) if minutes % HOUR == 0 => write!(f, "{}h", minutes / HOUR),
            Some(minutes) => write!(f, "{minutes}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::IdleStop;

    #[test]
    fn it_is_written_in_its_largest_unit() {
        for (text, shown) in [
            ("never", "never"),
            ("10m", "10m"),
            ("90m", "90m"),
            ("120m", "2h"),
            ("48h", "2d"),
            ("30d", "30d"),
        ] {
            assert_eq!(text.parse::<IdleStop>().unwrap().to_string(), shown);
        }
        assert_eq!(
            "2h".parse::<IdleStop>().unwrap().limit().unwrap().num_minutes(),
            120
        );
        assert_eq!(IdleStop::default().limit(), None);
    }

    #[test]
    fn what_is_too_short_too_long_or_no_time_is_refused() {
        for bad in [
            "",
            "2",
            "h",
            "9m",
            "0h",
            "31d",
            "+2h",
            "-2h",
            "2 h",
            "2H",
            "1.5h",
            "4294967295d",
            "2h2m",
        ] {
            assert!(bad.parse::<IdleStop>().is_err(), "{bad}");
        }
    }
}
