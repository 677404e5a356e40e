//! Signing in: to the console with a binding, and back with a code.

use std::time::Duration;

use chrono::Utc;
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use http::{Response, Uri};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use updraft_api::edge::{BrowserOrigin, RedeemHandover};
use updraft_api::edge_refusals::{Presented, RefusedFor};
use updraft_authz::{Visitor, verify_session_token};
use updraft_model::ClusterId;

use super::{cookies, find, local_target, parameter};
use crate::body::Body;
use crate::error::ControlError;
use crate::pages::Notice;
use crate::refusals::{Refusal, Source};
use crate::reply::{notice, see_other, set_cookie};
use crate::route::split_cluster;
use crate::state::Worker;
use crate::table::Table;

/// How long a hand-over may take, sign-in form included.
const BINDING_SECONDS: i64 = 600;
/// Within it, a second visit to sign-in with a good session is a loop.
const RETRY_SECONDS: i64 = 10;
/// Control hands over only those who may use the cluster, but a browser may be back sooner than an edge hears that they
/// may. Sent on before that, they would be sent to sign in again, or be told that nothing is there.
const PICTURE_PATIENCE: Duration = Duration::from_secs(3);

/// What the endpoints know of a request.
pub(crate) struct Visit<'a> {
    pub(crate) table: &'a Table,
    pub(crate) host: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request_id: &'a str,
    /// The browser's address.
    pub(crate) client: &'a HeaderValue,
}

impl Visit<'_> {
    /// For the audit log.
    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            client: self.client,
            headers: self.headers,
            request_id: self.request_id,
        }
    }
}

/// Sends a browser to the console, to come back to `return_to` with a session.
pub(crate) fn sign_in(worker: &Worker, visit: &Visit<'_>, return_to: &str) -> Response<Body> {
    if !worker.state.control_reachable() {
        return notice(&Notice::SignInUnavailable, visit.headers, visit.request_id);
    }
    let scheme = worker.state.config.scheme;
    let name = cookies::binding_name(scheme);
    // Tabs that sign in at the same time share one binding.
    let kept = cookies::all(visit.headers, name)
        .find(|value| is_binding(value))
        .map(str::to_owned);
    let binding = kept.unwrap_or_else(|| hex::encode(rand::rng().random::<[u8; 32]>()));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("host", visit.host)
        .append_pair("binding", &hex::encode(Sha256::digest(&binding)))
        .append_pair("return_to", return_to)
        .finish();
    let mut response = see_other(&format!("{}/handover?{query}", visit.table.console_url));
    set_cookie(
        &mut response,
        &cookies::made(name, &binding, BINDING_SECONDS, scheme),
    );
    response
}

/// `/_updraft/login?next=`: where Airflow sends those it does not know.
pub(crate) fn login(worker: &Worker, visit: &Visit<'_>) -> Response<Body> {
    let scheme = worker.state.config.scheme;
    let next = parameter(visit.uri.query(), "next");
    let Some(next) = next
        .as_deref()
        .and_then(|next| local_target(next, visit.host, scheme))
    else {
        return see_other(&visit.table.console_url);
    };
    if !is_signed_in(worker, visit) {
        return sign_in(worker, visit, next);
    }
    let name = cookies::retry_name(scheme);
    if cookies::all(visit.headers, name).next().is_some() {
        return notice(
            &Notice::SessionNotAccepted { retry: next },
            visit.headers,
            visit.request_id,
        );
    }
    let mut response = see_other(next);
    set_cookie(&mut response, &cookies::made(name, "1", RETRY_SECONDS, scheme));
    response
}

/// `/_updraft/handover?code=&return_to=`: the way back from the console.
pub(crate) async fn finish(worker: &Worker, visit: &Visit<'_>) -> Response<Body> {
    let scheme = worker.state.config.scheme;
    let return_to = parameter(visit.uri.query(), "return_to");
    let return_to = return_to
        .as_deref()
        .and_then(|target| local_target(target, visit.host, scheme));
    let Some(target) = return_to else {
        return notice(
            &Notice::SignInFailed { retry: None },
            visit.headers,
            visit.request_id,
        );
    };
    match redeem(worker, visit).await {
        Ok(Redeemed {
            token,
            visitor,
            seconds,
        }) => {
            until_let_in(worker, visit.host, &visitor, target).await;
            let mut response = see_other(target);
            set_cookie(
                &mut response,
                &cookies::made(cookies::session_name(scheme), &token, seconds, scheme),
            );
            set_cookie(
                &mut response,
                &cookies::made(cookies::binding_name(scheme), "", 0, scheme),
            );
            response
        }
        // Another tab was faster.
        Err(_) if is_signed_in(worker, visit) => see_other(target),
        Err(Failed::Unavailable) => notice(&Notice::SignInUnavailable, visit.headers, visit.request_id),
        Err(failed) => {
            if failed == Failed::Unbound {
                stolen(worker, visit, target);
            }
            notice(
                &Notice::SignInFailed { retry: Some(target) },
                visit.headers,
                visit.request_id,
            )
        }
    }
}

#[derive(PartialEq, Eq)]
enum Failed {
    Unavailable,
    /// By control, which has written it down.
    Refused,
    /// There is a code, and this browser never asked for one.
    Unbound,
}

fn stolen(worker: &Worker, visit: &Visit<'_>, target: &str) {
    let refusal = Refusal {
        why: RefusedFor::HandoverElsewhere,
        with: Presented::Nothing,
    };
    let now = Utc::now().timestamp();
    worker
        .state
        .refusals
        .note(refusal, cluster_of(target), visit.source(), now);
}

/// A session, and the seconds it lasts.
struct Redeemed {
    token: String,
    visitor: Visitor,
    seconds: i64,
}

async fn redeem(worker: &Worker, visit: &Visit<'_>) -> Result<Redeemed, Failed> {
    let scheme = worker.state.config.scheme;
    let binding = cookies::all(visit.headers, cookies::binding_name(scheme)).find(|value| is_binding(value));
    let code = parameter(visit.uri.query(), "code").filter(|code| !code.is_empty());
    let code = code.ok_or(Failed::Refused)?;
    let binding = binding.ok_or(Failed::Unbound)?;
    let asked = RedeemHandover {
        code,
        host: visit.host.to_owned(),
        binding: binding.to_owned(),
        from: origin(visit),
    };
    let redeemed = worker.state.control.redeem(&asked).await.map_err(|error| {
        tracing::info!(%error, "a hand-over was not redeemed");
        match error {
            ControlError::Refused(status) if status.is_client_error() => Failed::Refused,
            _ => Failed::Unavailable,
        }
    })?;
    let now = Utc::now();
    // The newest keys: the code may have been made after this request began.
    let keys = worker.state.table();
    let token = redeemed.session_token;
    let claims = verify_session_token(&keys.session_keys, &token, visit.host, now).map_err(|error| {
        tracing::error!(%error, "control handed over a session that does not verify");
        Failed::Refused
    })?;
    Ok(Redeemed {
        token,
        visitor: claims.into(),
        seconds: redeemed.expires_at - now.timestamp(),
    })
}

/// Resolves once this edge has heard that the visitor may use the cluster, or after a while: then it is said what is known.
async fn until_let_in(worker: &Worker, host: &str, visitor: &Visitor, target: &str) {
    let Some(cluster) = cluster_of(target) else {
        return;
    };
    let mut changes = worker.state.changes();
    let is_let_in = || {
        let table = worker.state.table();
        table.route(host, cluster).is_some() && table.policy.role_on(visitor, cluster).is_some()
    };
    let heard = async { while !is_let_in() && changes.changed().await.is_ok() {} };
    if timeout(PICTURE_PATIENCE, heard).await.is_err() {
        tracing::info!(
            cluster.id = cluster.0,
            "who was handed over has no role that this edge has heard of"
        );
    }
}

fn cluster_of(target: &str) -> Option<ClusterId> {
    let path = target.split('?').next().unwrap_or_default();
    split_cluster(path).map(|(cluster, _)| cluster)
}

fn origin(visit: &Visit<'_>) -> BrowserOrigin {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    BrowserOrigin {
        address: text(visit.client).and_then(|address| address.parse().ok()),
        user_agent: visit.headers.get(USER_AGENT).and_then(text),
        request_id: visit.request_id.to_owned(),
    }
}

fn is_signed_in(worker: &Worker, visit: &Visit<'_>) -> bool {
    find(worker, visit.table, visit.headers, visit.host, Utc::now())
        .is_ok_and(|(session, _)| visit.table.policy.is_live(&session.visitor))
}

fn is_binding(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit())
}
