//! SAML's times: UTC, as RFC 3339 has them.

use chrono::{DateTime, SecondsFormat, Utc};

/// None: unreadable. Some(None): not said.
#[expect(clippy::option_option, reason = "absent and unreadable are different things")]
pub(super) fn read(text: Option<&str>) -> Option<Option<DateTime<Utc>>> {
    match text {
        None => Some(None),
        Some(text) => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| Some(time.to_utc())),
    }
}

pub(super) fn write(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
