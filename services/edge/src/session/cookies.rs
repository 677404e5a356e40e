//! The edge's own cookies.

use http::header::{self, HeaderMap};

use crate::config::Scheme;

/// The session's cookie. Over https the browser itself guarantees that no other host set it.
pub(super) fn session_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "updraft_edge",
        Scheme::Https => "__Host-updraft_edge",
    }
}

/// Binds a hand-over to the browser that asked for it.
pub(super) fn binding_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "updraft_binding",
        Scheme::Https => "__Host-updraft_binding",
    }
}

/// Remembers for a moment that Airflow sent a signed-in person back to sign-in.
pub(super) fn retry_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "updraft_retry",
        Scheme::Https => "__Host-updraft_retry",
    }
}

/// A `Set-Cookie` for the whole host, out of reach of scripts; `seconds` 0 removes it.
pub(super) fn made(name: &str, value: &str, seconds: i64, scheme: Scheme) -> String {
    let secure = match scheme {
        Scheme::Http => "",
        Scheme::Https => "; Secure",
    };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// All values of a cookie, in the order sent.
pub(super) fn all<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get(header::COOKIE)
        .and_then(|v| v.to_str().ok())
        .into_iter()
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(move |pair| pair.trim_start().strip_prefix(name)?.strip_prefix('='))
}
