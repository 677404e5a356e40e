//! Decides what becomes of a routed request: forwarded with a role, sent to sign-in, or refused. Pure.
//!
//! A person without a role on a cluster gets the same answer as for a cluster that does not exist, and a person who is
//! not signed in gets the same answer for both.

use http::Method;
use http::header::{self, HeaderMap};
use updraft_api::edge::{Route, RouteState, Upstream};
use updraft_authz::Visitor;
use updraft_model::{ClusterId, ClusterRole};

use crate::config::Scheme;
use crate::table::Table;

/// Who asks, once the token was verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) visitor: &'a Visitor,
    pub(crate) credential: Credential,
}

/// How it came. A browser sends cookies without being asked, so they need proof of intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    Cookie,
    Bearer,
}

/// What the decision depends on besides caller and table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) host: &'a str,
    pub(crate) cluster: ClusterId,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) scheme: Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision<'a> {
    Forward {
        route: &'a Route,
        upstream: Upstream,
        role: ClusterRole,
    },
    /// The person may use it, but there is nothing to forward to.
    NotRunning {
        route: &'a Route,
    },
    /// A person before a browser: go and sign in.
    SignIn,
    /// A program: say 401.
    Unauthenticated,
    Forbidden(Why),
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// An unsafe method or websocket without a same-origin `Origin`.
    Origin,
    /// A page of another origin reads this one with the person's cookie.
    CrossOrigin,
}

pub(crate) fn decide<'a>(request: Request<'_>, caller: Option<Caller<'_>>, table: &'a Table) -> Decision<'a> {
    if !table.knows_host(request.host) {
        return Decision::NotFound;
    }
    let Some(caller) = caller.filter(|c| table.policy.is_live(c.visitor)) else {
        return if is_navigation(request.method, request.headers) {
            Decision::SignIn
        } else {
            Decision::Unauthenticated
        };
    };
    if let Some(why) = forgery(request, caller.credential) {
        return Decision::Forbidden(why);
    }
    let Some((role, _)) = table.policy.role_on(caller.visitor, request.cluster) else {
        return Decision::NotFound;
    };
    match table
        .route(request.host, request.cluster)
        .filter(|r| r.tenant == caller.visitor.tenant)
    {
        None => Decision::NotFound,
        Some(route) => match &route.state {
            RouteState::Up { upstream } => Decision::Forward {
                route,
                upstream: *upstream,
                role,
            },
            RouteState::Starting { .. }
            | RouteState::Stopped
            | RouteState::Stopping
            | RouteState::Failed { .. } => Decision::NotRunning { route },
        },
    }
}

/// Whether a person is looking at the answer: a page was asked for, at the top of a window.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && accepts_html(headers)
        && text(headers, "sec-fetch-dest").is_none_or(|dest| dest == "document")
        && !is_upgrade(headers)
}

pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    text(headers, "accept").is_some_and(|accept| accept.contains("text/html"))
}

/// Whether the client asks to leave HTTP on this connection.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// Whether `Origin` is this very origin.
pub(crate) fn is_same_origin(host: &str, scheme: Scheme, headers: &HeaderMap) -> bool {
    text(headers, "origin")
        .and_then(|origin| origin.strip_prefix(scheme.as_str())?.strip_prefix("://"))
        .is_some_and(|authority| authority == host)
}

/// Whether the request might have been caused by a page of another origin, with the person's cookie.
fn forgery(request: Request<'_>, credential: Credential) -> Option<Why> {
    if credential == Credential::Bearer {
        return None;
    }
    let safe = matches!(*request.method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !is_upgrade(request.headers);
    if !safe {
        return (!is_same_origin(request.host, request.scheme, request.headers)).then_some(Why::Origin);
    }
    let foreign = matches!(
        text(request.headers, "sec-fetch-site"),
        Some("cross-site" | "same-site")
    );
    let top_level = text(request.headers, "sec-fetch-mode") == Some("navigate")
        && text(request.headers, "sec-fetch-dest") == Some("document");
    (foreign && !top_level).then_some(Why::CrossOrigin)
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
