//! A place among all lines of a cluster: time, then file, then place in the file.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use updraft_api::logs::LogOrder;

use crate::LogsError;

/// Where a line stands among all others. Two lines of one time are told apart by their files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stand {
    pub(crate) at: DateTime<Utc>,
    /// Source and file as the bucket names them.
    pub(crate) file: Arc<str>,
    pub(crate) offset: u64,
}

/// From which line on a page goes, that line included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) order: LogOrder,
    pub(crate) stand: Stand,
}

// === impl Stand ===

impl Stand {
    /// The next one that there may be.
    pub(crate) fn after(&self) -> Self {
        Self {
            offset: self.offset.saturating_add(1),
            ..self.clone()
        }
    }

    /// What the line here is called: 64 bits of a digest, for a line stays where it is in its file.
    pub(crate) fn line_id(&self) -> String {
        let digest = Sha256::new()
            .chain_update(self.file.as_bytes())
            .chain_update(self.offset.to_be_bytes())
            .finalize();
        hex::encode(&digest[..8])
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            LogOrder::Newest => 'n',
            LogOrder::Oldest => 'o',
        };
        let Stand { at, file, offset } = &self.stand;
        f.write_str(&hex::encode(format!(
            "{order} {} {offset} {file}",
            at.timestamp_micros()
        )))
    }
}

impl FromStr for Cursor {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, LogsError> {
        parse(text).ok_or_else(|| LogsError::invalid("cursor", "use what the page before gave as `next`"))
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(hex::decode(text).ok()?).ok()?;
    let mut parts = text.splitn(4, ' ');
    let order = match parts.next()? {
        "n" => LogOrder::Newest,
        "o" => LogOrder::Oldest,
        _ => return None,
    };
    let at = DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?;
    let offset = parts.next()?.parse().ok()?;
    let file = parts.next()?.into();
    Some(Cursor {
        order,
        stand: Stand { at, file, offset },
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use updraft_api::logs::LogOrder;

    use super::{Cursor, Stand};

    #[test]
    fn a_cursor_is_read_as_it_was_given() {
        let at = chrono::DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap();
        let cursor = Cursor {
            order: LogOrder::Oldest,
            stand: Stand {
                at,
                file: "tasks/dag_id=a b/x".into(),
                offset: 7,
            },
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "zz", "6e", "6e2030", &hex::encode("x 1 1 a")] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
