//! What passes between a browser and an Airflow, and what does not. Pure.
//!
//! Towards Airflow nothing that could be taken for an identity or for a proxy's word survives, but what this edge says
//! itself. From Airflow nothing that would reach beyond its own prefix on its own host survives: its content is the
//! tenant's and may be hostile.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use updraft_api::edge::Route;
use updraft_model::ClusterId;

use crate::route::split_cluster;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How many headers [`Said`] and the handshake add at most.
const SAID: usize = 7;
/// How many headers every response has from here, and the date.
const ADDED: usize = 5;

/// What this edge says about a request it forwards.
pub(crate) struct Said {
    pub(crate) authorization: HeaderValue,
    /// What is left of the client's cookies: [`cookies_for_airflow`].
    pub(crate) cookies: Option<HeaderValue>,
    /// The client's address, and nothing of what was said before: [`crate::line::Line::client`].
    pub(crate) client: HeaderValue,
    pub(crate) scheme: HeaderValue,
    pub(crate) host: HeaderValue,
    pub(crate) request_id: HeaderValue,
    /// The handshake of a websocket is forwarded, any other upgrade is not.
    pub(crate) websocket: bool,
}

/// Makes a client's headers into those for Airflow.
pub(crate) fn towards_airflow(headers: &mut HeaderMap, said: Said) {
    remove_listed_in_connection(headers);
    remove_where(headers, |name| is_hop_by_hop(name) || is_identity(name));
    headers.reserve(SAID);
    match said.cookies {
        Some(cookies) => headers.insert(header::COOKIE, cookies),
        None => headers.remove(header::COOKIE),
    };
    headers.insert(header::AUTHORIZATION, said.authorization);
    headers.insert(FORWARDED_FOR, said.client);
    headers.insert(FORWARDED_PROTO, said.scheme);
    headers.insert(FORWARDED_HOST, said.host);
    headers.insert(REQUEST_ID, said.request_id);
    if said.websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Makes Airflow's headers into those for the browser.
pub(crate) fn from_airflow(headers: &mut HeaderMap, route: &Route, switching: bool) {
    remove_listed_in_connection(headers);
    remove_where(headers, |name| is_hop_by_hop(name) || reaches_too_far(name));
    filter_set_cookies(headers, route.cluster, &route.host);
    headers.reserve(ADDED);
    insert_if_absent(headers, header::X_FRAME_OPTIONS, "SAMEORIGIN");
    insert_if_absent(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert_if_absent(headers, header::CACHE_CONTROL, "private");
    if switching {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}

fn insert_if_absent(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

/// RFC 9110 section 7.6.1.
fn remove_listed_in_connection(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| {
            !["close", "keep-alive", "upgrade", "host", "content-length"]
                .iter()
                .any(|n| name.eq_ignore_ascii_case(n))
        })
        .filter_map(|name| name.parse().ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-authentication-info"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "expect"
    )
}

/// Headers by which some server somewhere believes who is calling, from where, or for what.
fn is_identity(name: &str) -> bool {
    const PREFIXES: [&str; 13] = [
        "x-forwarded-",
        "x-auth-",
        "x-authenticated-",
        "x-updraft-",
        "x-remote-",
        "x-original-",
        "x-rewrite-",
        "x-client-",
        "x-ssl-",
        "x-amzn-oidc-",
        "x-goog-",
        "x-ms-client-principal",
        "x-webauth-",
    ];
    matches!(
        name,
        "authorization"
            | "authentication"
            | "forwarded"
            | "remote-user"
            | "remote-addr"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "x-real-ip"
            | "x-cluster-client-ip"
            | "x-host"
            | "x-user"
            | "x-username"
            | "x-userid"
            | "x-email"
            | "x-groups"
            | "x-roles"
            | "x-token"
            | "x-access-token"
            | "x-api-key"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-request-id"
    ) || (name.starts_with("x-") && PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        || name.starts_with("ssl-")
}

/// Response headers that act on more than the response.
fn reaches_too_far(name: &str) -> bool {
    matches!(
        name,
        "service-worker-allowed"
            | "clear-site-data"
            | "strict-transport-security"
            | "public-key-pins"
            | "public-key-pins-report-only"
            | "alt-svc"
            | "nel"
            | "report-to"
            | "set-login"
            | "sec-session-registration"
            | "activate-storage-access"
            | "x-sendfile"
            | "x-request-id"
    ) || name.starts_with("x-accel-")
}

/// Names that are Updraft's, with or without a browser's name prefix.
fn is_updrafts(cookie: &str) -> bool {
    let name = cookie
        .strip_prefix("__Host-")
        .or_else(|| cookie.strip_prefix("__Secure-"))
        .unwrap_or(cookie);
    name.starts_with("updraft_")
}

/// A `Cookie` header without Updraft's cookies and without Airflow's own token: people are known by what the edge says
/// alone.
pub(crate) fn cookies_for_airflow(value: &HeaderValue) -> Option<HeaderValue> {
    let cookies = value.to_str().ok()?;
    if !cookies.contains("updraft_") && !cookies.contains("_token") {
        return Some(value.clone());
    }
    let passed: Vec<&str> = cookies
        .split(';')
        .map(str::trim)
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default().trim();
            !pair.is_empty() && name != "_token" && !is_updrafts(name)
        })
        .collect();
    HeaderValue::try_from(passed.join("; "))
        .ok()
        .filter(|_| !passed.is_empty())
}

fn filter_set_cookies(headers: &mut HeaderMap, cluster: ClusterId, host: &str) {
    if !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let passed: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter(|value| {
            value
                .to_str()
                .is_ok_and(|cookie| stays_home(cookie, cluster, host))
        })
        .cloned()
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in passed {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Whether a cookie reaches no further than this cluster's prefix on this host, and is none of ours.
fn stays_home(cookie: &str, cluster: ClusterId, host: &str) -> bool {
    let mut parts = cookie.split(';').map(str::trim);
    let name = parts
        .next()
        .unwrap_or_default()
        .split('=')
        .next()
        .unwrap_or_default()
        .trim();
    let hostname = host.rsplit_once(':').map_or(host, |(name, _)| name);
    !name.is_empty()
        && !is_updrafts(name)
        && parts.all(|attribute| {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (key, value) = (key.trim(), value.trim());
            if key.eq_ignore_ascii_case("domain") {
                value.eq_ignore_ascii_case(hostname)
            } else if key.eq_ignore_ascii_case("path") {
                // A path that does not begin with a slash means the request's own directory.
                !value.starts_with('/') || split_cluster(value).is_some_and(|(id, _)| id == cluster)
            } else {
                true
            }
        })
}
