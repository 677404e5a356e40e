//! Sessions at the edge: finding the caller, and the endpoints below `/_updraft/` that begin and end a session.
//!
//! A session begins on the console's host and is handed over: a random binding goes into a cookie here and its hash to
//! the console, which answers with a single-use code for this host; only the browser that holds the binding can redeem
//! it. No address is followed that was not checked to be a cluster's path on this very host.

mod cookies;
mod handover;
mod last_cookies;
mod sign_out;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::header::{self, HeaderMap, HeaderValue};

use crate::authz::Credential;
use crate::config::Scheme;
use crate::headers::cookies_for_airflow;
use crate::line::Line;
use crate::refusals::Refusal;
use crate::route::{check_path, split_cluster};
use crate::state::Worker;
use crate::table::Table;
use crate::token::Session;

pub(crate) use handover::{Visit, finish, login, sign_in};
pub(crate) use last_cookies::LastCookies;
pub(crate) use sign_out::sign_out;

/// Who asks for something of an Airflow's.
pub(crate) struct Found {
    pub(crate) session: Arc<Session>,
    pub(crate) credential: Credential,
    /// The cookies that Airflow may see.
    pub(crate) cookies: Option<HeaderValue>,
}

/// As [`find`], for a request that may be forwarded: the next one on this connection is likely to come with the same
/// cookies.
pub(crate) fn find_again(
    line: &Line,
    table: &Table,
    headers: &HeaderMap,
    host: &str,
    now: DateTime<Utc>,
) -> Result<Found, Option<Refusal>> {
    let cookies = headers.get(header::COOKIE);
    let alone = cookies.filter(|_| !headers.contains_key(header::AUTHORIZATION));
    if let Some(found) = alone.and_then(|cookies| line.last_cookies.recall(cookies, table, host, now)) {
        return Ok(found);
    }
    let (session, credential) = find(&line.worker, table, headers, host, now)?;
    let found = Found {
        session,
        credential,
        cookies: cookies.and_then(cookies_for_airflow),
    };
    if let Some(cookies) = alone {
        line.last_cookies.keep(cookies, table, &found);
    }
    Ok(found)
}

/// The verified session or API token behind a request, and how it came; or else what was wrong with the first that the
/// request showed. A bearer token that does not verify is no session, and no reason to refuse the cookie beside it:
/// whatever a client put into `Authorization` goes no further.
pub(crate) fn find(
    worker: &Worker,
    table: &Table,
    headers: &HeaderMap,
    host: &str,
    now: DateTime<Utc>,
) -> Result<(Arc<Session>, Credential), Option<Refusal>> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .map(|token| worker.sessions.verify_bearer(table, token, host, now));
    let mut refused = match bearer {
        Some(Ok(session)) => return Ok((session, Credential::Bearer)),
        Some(Err(refusal)) => Some(refusal),
        None => None,
    };
    let scheme = worker.state.config.scheme;
    for token in cookies::all(headers, cookies::session_name(scheme)) {
        match worker.sessions.verify(table, token, host, now) {
            Ok(session) => return Ok((session, Credential::Cookie)),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    Err(refused)
}

/// A path and query on this host that belongs to a cluster; anything else is no place to return to.
fn local_target<'a>(value: &'a str, host: &str, scheme: Scheme) -> Option<&'a str> {
    let target = value
        .strip_prefix(scheme.as_str())
        .and_then(|rest| rest.strip_prefix("://")?.strip_prefix(host))
        .unwrap_or(value);
    let target = target.split('#').next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let clean = target.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (clean && check_path(path).is_ok() && split_cluster(path).is_some()).then_some(target)
}

/// The decoded value of a query parameter that occurs once.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(query?.as_bytes()).filter(|(key, _)| key == name);
    let value = values.next()?.1.into_owned();
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cluster_paths_of_this_host_are_places_to_return_to() {
        let target = |value| local_target(value, "127.0.0.1:7701", Scheme::Http);
        assert_eq!(
            target("/airflow-webserver-1/dags?x=%2F#top"),
            Some("/airflow-webserver-1/dags?x=%2F")
        );
        assert_eq!(
            target("http://127.0.0.1:7701/airflow-webserver-1/"),
            Some("/airflow-webserver-1/")
        );
        for elsewhere in [
            "",
            "/",
            "//evil.example/airflow-webserver-1/",
            "/\\evil.example",
            "http://evil.example/airflow-webserver-1/",
            "http://127.0.0.1:7701.evil.example/airflow-webserver-1/",
            "http://127.0.0.1:7701@evil.example/airflow-webserver-1/",
            "https://127.0.0.1:7701/airflow-webserver-1/",
            "javascript:alert(1)",
            "/_updraft/logout",
            "/airflow-webserver-1/../_updraft/logout",
            "/airflow-webserver-1/%2e%2e/x",
            "/airflow-webserver-01/",
            "/airflow-webserver-1/\r\nSet-Cookie: a=b",
        ] {
            assert_eq!(target(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_parameter_that_occurs_twice_has_no_value() {
        assert_eq!(parameter(Some("a=1&code=x%20y"), "code").as_deref(), Some("x y"));
        assert_eq!(parameter(Some("code=x&code=y"), "code"), None);
    }
}
