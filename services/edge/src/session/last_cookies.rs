//! What a connection's cookies were found to mean. A browser sends the same ones with every request, so they are read
//! once, and again when they, the snapshot or the time say otherwise. Rights are not kept here: they are looked up for
//! every request.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use http::HeaderValue;

use super::Found;
use crate::authz::Credential;
use crate::table::Table;
use crate::token::Session;

/// The cookies of one connection's last request.
#[derive(Debug, Default)]
pub(crate) struct LastCookies(Mutex<Option<Read>>);

#[derive(Debug)]
struct Read {
    cookies: HeaderValue,
    /// The snapshot under which the session was good.
    version: Option<i64>,
    session: Arc<Session>,
    for_airflow: Option<HeaderValue>,
}

// === impl LastCookies ===

impl LastCookies {
    /// What these cookies meant, if they were the last ones and still mean the same.
    pub(super) fn recall(
        &self,
        cookies: &HeaderValue,
        table: &Table,
        host: &str,
        now: DateTime<Utc>,
    ) -> Option<Found> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = last
            .as_ref()
            .filter(|read| read.version == table.version && read.cookies == cookies)
            .filter(|read| read.session.check(host, now).is_ok())?;
        Some(Found {
            session: Arc::clone(&read.session),
            credential: Credential::Cookie,
            cookies: read.for_airflow.clone(),
        })
    }

    pub(super) fn keep(&self, cookies: &HeaderValue, table: &Table, found: &Found) {
        // Copied, because a header's value holds on to all that was read with it.
        let copy = HeaderValue::from_bytes(cookies.as_bytes());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = copy.ok().map(|cookies| Read {
            cookies,
            version: table.version,
            session: Arc::clone(&found.session),
            for_airflow: found.cookies.clone(),
        });
    }
}
