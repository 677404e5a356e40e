//! Times, durations and sizes as people read them. Pure: the current time is a parameter.

use std::fmt;

use askama::filters::{Html, HtmlSafe, escape};
use chrono::{DateTime, TimeDelta, Utc};

/// A point in time: relative to read, exact on hover (the script puts both into the viewer's zone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    at: DateTime<Utc>,
    relative: String,
}

// === impl Moment ===

impl Moment {
    pub(crate) fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            at,
            relative: ago(at, now),
        }
    }
}

/// Holds only digits and fixed words, hence safe as HTML.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = self.at.format("%Y-%m-%dT%H:%M:%SZ");
        let exact = self.at.format("%-d %b %Y, %H:%M:%S UTC");
        write!(
            f,
            r#"<time datetime="{iso}" title="{exact}">{}</time>"#,
            self.relative
        )
    }
}

impl HtmlSafe for Moment {}

/// A sentence in which `` `words` `` between backticks are shown as code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prose(String);

impl From<&str> for Prose {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Every piece is escaped, hence safe as HTML.
impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.matches('`').count() % 2 == 1 {
            return escaped(f, &self.0);
        }
        for (n, piece) in self.0.split('`').enumerate() {
            let is_code = n % 2 == 1;
            f.write_str(if is_code { "<code>" } else { "" })?;
            escaped(f, piece)?;
            f.write_str(if is_code { "</code>" } else { "" })?;
        }
        Ok(())
    }
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let Ok(text) = escape(text, Html);
    write!(f, "{text}")
}

impl HtmlSafe for Prose {}

/// `just now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`, then the date.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    match seconds {
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => at.format("%-d %b %Y").to_string(),
    }
}

/// `0.4 s`, `12 s`, `1 min 04 s`, `2 h 05 min`, `3 d 4 h`.
pub(crate) fn duration(length: TimeDelta) -> String {
    let ms = length.num_milliseconds().max(0);
    let seconds = ms / 1_000;
    match seconds {
        ..10 => format!("{}.{} s", seconds, ms % 1_000 / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `812 KiB`, `251 MiB`, `1.4 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match count {
        ..MIB => format!("{} KiB", count / KIB),
        MIB..GIB => format!("{} MiB", count / MIB),
        _ => format!("{}.{} GiB", count / GIB, count % GIB * 10 / GIB),
    }
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The start of a digest, enough to tell two apart.
pub(crate) fn short(digest: &str) -> String {
    let bare = digest.rsplit(':').next().unwrap_or(digest);
    bare.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone, Utc};

    use super::{Moment, Prose, ago, bytes, count, duration, short};

    #[test]
    fn times_are_relative_until_they_are_old() {
        let now = Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap();
        for (seconds, said) in [
            (-30, "just now"),
            (4, "just now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 d ago"),
            (8_640_000, "13 Aug 2026"),
        ] {
            assert_eq!(ago(now - TimeDelta::seconds(seconds), now), said);
        }
    }

    #[test]
    fn a_moment_carries_its_exact_time() {
        let now = Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap();
        assert_eq!(
            Moment::new(now, now).to_string(),
            r#"<time datetime="2026-11-21T12:00:00Z" title="21 Nov 2026, 12:00:00 UTC">just now</time>"#
        );
    }

    #[test]
    fn words_in_backticks_are_code_and_everything_is_escaped() {
        assert_eq!(
            Prose::from("set `a<b` to 1").to_string(),
            "set <code>a&#60;b</code> to 1"
        );
        assert_eq!(Prose::from("5` <i>").to_string(), "5` &#60;i&#62;");
    }

    #[test]
    fn durations_have_units_and_fitting_precision() {
        for (ms, said) in [
            (-5, "0.0 s"),
            (420, "0.4 s"),
            (12_900, "12 s"),
            (64_000, "1 min 04 s"),
            (7_500_000, "2 h 05 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(TimeDelta::milliseconds(ms)), said);
        }
    }

    #[test]
    fn sizes_counts_and_digests_are_short() {
        assert_eq!(bytes(263_192_576), "251 MiB");
        assert_eq!(bytes(1_503_238_553), "1.3 GiB");
        assert_eq!(count(1, "node", "nodes"), "1 node");
        assert_eq!(count(3, "node", "nodes"), "3 nodes");
        assert_eq!(short("sha256:0123456789abcdef"), "01234567");
    }
}
