//! Which part of a list is asked for.

use std::fmt;
use std::str::FromStr;

use updraft_api::rest::Page;
use updraft_model::{EventId, UserId};

use crate::AppError;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// `?cursor=` and `?limit=`. A cursor is opaque: only what a page's `next` said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    pub cursor: Option<String>,
    /// 1 to 200; 50 when absent.
    pub limit: Option<u32>,
}

/// Events after one (oldest first), before one (newest first), or the newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventRange {
    pub after: Option<EventId>,
    pub before: Option<EventId>,
    /// 1 to 200; 50 when absent.
    pub limit: Option<u32>,
}

/// A place in a list of people by address. Two people of two directories may have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByAddress {
    pub(crate) email: String,
    pub(crate) user: UserId,
}

// === impl ByAddress ===

impl ByAddress {
    pub(crate) fn new(email: &str, user: UserId) -> Self {
        Self {
            email: email.to_owned(),
            user,
        }
    }
}

impl fmt::Display for ByAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.user, self.email)
    }
}

impl FromStr for ByAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (user, email) = text.split_once(' ').ok_or(())?;
        let user = user.parse().map_err(|_| ())?;
        Ok(Self::new(email, user))
    }
}

// === impl PageRequest ===

impl PageRequest {
    pub(crate) fn limit(&self) -> Result<i64, AppError> {
        checked_limit(self.limit)
    }

    /// What the cursor stands for.
    pub(crate) fn position<T: std::str::FromStr>(&self) -> Result<Option<T>, AppError> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let text = hex::decode(cursor)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let position = text.and_then(|text| text.parse().ok());
        position
            .map(Some)
            .ok_or_else(|| AppError::invalid("cursor", "use what the page before gave as `next`"))
    }
}

pub(crate) fn checked_limit(limit: Option<u32>) -> Result<i64, AppError> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(i64::from(limit)),
        _ => Err(AppError::invalid("limit", format!("ask for 1 to {MAX_LIMIT}"))),
    }
}

/// A page of `limit` rows out of up to `limit + 1`; `position` tells where the next one begins.
pub(crate) fn page<R, T>(
    mut rows: Vec<R>,
    limit: i64,
    position: impl Fn(&R) -> String,
    view: impl Fn(R) -> T,
) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| hex::encode(position(row)));
    Page {
        items: rows.into_iter().map(view).collect(),
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::{ByAddress, PageRequest, page};

    #[test]
    fn the_cursor_of_one_page_is_the_position_of_the_next() {
        let first = page(vec![1, 2, 3], 2, ToString::to_string, |n| n);
        assert_eq!(first.items, [1, 2]);
        let request = PageRequest {
            cursor: first.next,
            limit: None,
        };
        assert_eq!(request.position::<i64>().unwrap(), Some(2));
        assert!(page(vec![1, 2], 2, ToString::to_string, |n| n).next.is_none());
    }

    #[test]
    fn two_people_of_one_address_are_two_places() {
        let place = |id| {
            ByAddress::new(
                "ada@example.com",
                updraft_model::UserId(uuid::Uuid::from_u128(id)),
            )
        };
        assert!(place(1) < place(2));
        assert_eq!(place(1).to_string().parse(), Ok(place(1)));
        assert!("ada@example.com".parse::<ByAddress>().is_err());
    }

    #[test]
    fn foreign_cursors_and_limits_are_refused_by_name() {
        let request = |cursor: &str, limit| PageRequest {
            cursor: Some(cursor.to_owned()),
            limit: Some(limit),
        };
        assert!(request("zz", 1).position::<i64>().is_err());
        assert!(request("6161", 1).position::<i64>().is_err());
        assert!(request("", 0).limit().is_err());
        assert!(request("", 201).limit().is_err());
        assert_eq!(request("", 200).limit().unwrap(), 200);
    }
}
