//! The addresses that are the edge's own, below `/_updraft/`.

use std::net::SocketAddr;

use http::{Method, Response, StatusCode};

use crate::body::Body;
use crate::pages::Notice;
use crate::reply;
use crate::route::Refusal;
use crate::session::{self, Visit};
use crate::state::Worker;
use crate::table::Table;

/// Answers for `/_updraft/<name>`.
pub(crate) async fn answer(
    worker: &Worker,
    visit: &Visit<'_>,
    name: &str,
    method: &Method,
) -> Response<Body> {
    match (name, method) {
        ("login", &Method::GET) => session::login(worker, visit),
        ("handover", &Method::GET) => session::finish(worker, visit).await,
        ("logout", &Method::GET | &Method::POST) => session::sign_out(worker, visit, method),
        ("login" | "handover" | "logout", _) => reply::notice(
            &Notice::Ambiguous(Refusal::Method),
            visit.headers,
            visit.request_id,
        ),
        _ => reply::not_found(visit),
    }
}

/// Whether the client came by the very address it reached, as a supervisor does.
pub(crate) fn is_own_host(host: &str, local: SocketAddr) -> bool {
    let port = local.port().to_string();
    let own = host == local.to_string() || host.strip_prefix("localhost:") == Some(&port);
    own && local.ip().is_loopback()
}

/// For the supervisor on this machine and for balancers: 200 as soon as there is a route table to work from, and until it
/// is told to stop.
pub(crate) fn health(worker: &Worker, table: &Table) -> Response<Body> {
    let state = &worker.state;
    let (tunnels, through_tunnels) = state.tunnels.load();
    let status = match (state.is_leaving(), table.version) {
        (true, _) => "leaving",
        (false, Some(_)) => "ok",
        (false, None) => "starting",
    };
    let mut response = reply::json(&serde_json::json!({
        "status": status,
        "snapshot_version": table.version,
        "control": if state.control_reachable() { "reachable" } else { "unreachable" },
        "requests": state.counts.total(),
        "tunnels": { "open": tunnels, "connections": through_tunnels },
    }));
    if status != "ok" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
