//! Signing out: the cookie goes here, the session itself at the console, which revokes it for every edge.

use http::{Method, Response};

use super::cookies;
use super::handover::Visit;
use crate::authz::is_same_origin;
use crate::body::Body;
use crate::pages::Notice;
use crate::reply::{notice, see_other, set_cookie};
use crate::state::Worker;

/// `/_updraft/logout`: Airflow's own button leads here. What came from this origin is done at once, a link from
/// elsewhere is asked about first.
pub(crate) fn sign_out(worker: &Worker, visit: &Visit<'_>, method: &Method) -> Response<Body> {
    let scheme = worker.state.config.scheme;
    let site = visit.headers.get("sec-fetch-site").and_then(|v| v.to_str().ok());
    let meant = match *method {
        Method::POST => is_same_origin(visit.host, scheme, visit.headers),
        _ => matches!(site, Some("same-origin" | "none")),
    };
    if !meant {
        let question = Notice::ConfirmSignOut {
            console_url: &visit.table.console_url,
        };
        return notice(&question, visit.headers, visit.request_id);
    }
    let mut response = if worker.state.control_reachable() {
        see_other(&format!("{}/sign-out", visit.table.console_url))
    } else {
        notice(&Notice::SignedOut, visit.headers, visit.request_id)
    };
    set_cookie(
        &mut response,
        &cookies::made(cookies::session_name(scheme), "", 0, scheme),
    );
    response
}
