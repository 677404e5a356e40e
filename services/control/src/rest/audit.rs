//! Tells the audit log where a request comes from, and what was refused of it.
//!
//! A refusal counts when something was to be changed, when a credential was no good, and when somebody asked for what
//! is not theirs to see. The rest (a GET of something that never was, nobody's GET) is left out: it says nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use updraft_api::Problem;
use updraft_api::device::DeviceError;
use updraft_app::audit::{self, Origin, Refusal, Target};
use updraft_model::AuditOutcome;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use super::{RequestId, RestState};

/// What the audit log calls each operation.
pub(crate) type Actions = Arc<HashMap<(Method, String), String>>;

/// What is known of a request before it is worked on.
struct Asked {
    action: Option<String>,
    path: String,
    changes: bool,
    has_credential: bool,
}

pub(crate) async fn audited(State(state): State<RestState>, request: Request, next: Next) -> Response {
    let (origin, asked) = (origin(&request), Asked::of(&request, &state.actions));
    let work = next.run(request);
    state
        .app
        .audited(origin, work, |response, attempted| {
            asked.refusal(response, attempted)
        })
        .await
}

/// `create_cluster` is `cluster.create`.
pub(crate) fn actions(document: &OpenApi) -> Actions {
    let paths = document.paths.paths.iter();
    let operations = paths.flat_map(|(path, item)| {
        let of = |method, operation: &Option<Operation>| {
            let name = operation.as_ref()?.operation_id.as_ref()?;
            Some(((method, format!("/api/v1{path}")), action(name)))
        };
        [
            of(Method::GET, &item.get),
            of(Method::PUT, &item.put),
            of(Method::POST, &item.post),
            of(Method::DELETE, &item.delete),
            of(Method::PATCH, &item.patch),
        ]
    });
    Arc::new(operations.flatten().chain(crate::scim::actions()).collect())
}

/// Operations that are called otherwise.
const CALLED: [(&str, &str); 17] = [
    ("remove_persons_second_factor", "second_factor.remove"),
    ("help_with_password", "password_link.create"),
    ("help_with_second_factor", "second_factor.remove"),
    ("rotate_keys", "cluster.rotate_keys"),
    ("make_next_external_id", "aws_account.make_next_external_id"),
    ("use_next_external_id", "aws_account.use_next_external_id"),
    ("drop_next_external_id", "aws_account.drop_next_external_id"),
    ("set_password", "password.reset"),
    ("sign_in", "sign_in.password"),
    ("sign_out", "sign_out"),
    ("switch_tenant", "sign_in.switch_tenant"),
    ("authorize_device", "sign_in.device"),
    ("poll_device", "sign_in.device"),
    ("revoke_sessions", "session.revoke_all"),
    ("check_domain", "domain.prove"),
    ("list_audit", "audit.list"),
    ("export_audit", "audit.export"),
];

fn action(operation: &str) -> String {
    let called = CALLED.iter().find(|(name, _)| *name == operation);
    match (called, operation.split_once('_')) {
        (Some((_, called)), _) => (*called).to_owned(),
        (None, Some((verb, what))) => format!("{what}.{verb}"),
        (None, None) => operation.to_owned(),
    }
}

fn origin(request: &Request) -> Origin {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let agent = request.headers().get(header::USER_AGENT);
    let id = request.extensions().get::<RequestId>();
    Origin {
        address: peer.map(|ConnectInfo(peer)| peer.ip()),
        user_agent: agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
        request_id: id.map(|RequestId(id)| id.clone()).unwrap_or_default(),
    }
}

// === impl Asked ===

impl Asked {
    fn of(request: &Request, actions: &Actions) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let operation = matched.map(|path| (request.method().clone(), path.as_str().to_owned()));
        Self {
            action: operation.and_then(|operation| actions.get(&operation).cloned()),
            path: request.uri().path().to_owned(),
            changes: !request.method().is_safe(),
            has_credential: request.headers().contains_key(header::AUTHORIZATION)
                || request.headers().contains_key(header::COOKIE),
        }
    }

    fn refusal(self, response: &Response, attempted: bool) -> Option<Refusal> {
        let status = response.status();
        let outcome = match status {
            _ if status.is_server_error() => AuditOutcome::Failed,
            _ if status.is_client_error() => AuditOutcome::Refused,
            _ => return None,
        };
        let telling = match status {
            StatusCode::UNAUTHORIZED => self.has_credential,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS => true,
            _ => false,
        };
        (self.changes || attempted || telling).then_some(())?;
        Some(Refusal {
            outcome,
            reason: Some(reason(response)?),
            action: self.action.or_else(|| attempted.then(String::new))?,
            target: Some(Target::new("path", self.path, None)),
        })
    }
}

/// None: it was no refusal, whatever its status says.
fn reason(response: &Response) -> Option<String> {
    let extensions = response.extensions();
    match (extensions.get::<Problem>(), extensions.get::<DeviceError>()) {
        (Some(problem), _) => Some(audit::word(problem).to_owned()),
        (None, Some(DeviceError::AuthorizationPending | DeviceError::SlowDown)) => None,
        (None, Some(error)) => Some(error.word().to_owned()),
        (None, None) => Some(response.status().as_u16().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::action;

    #[test]
    fn operations_are_called_by_what_they_are_about() {
        for (operation, called) in [
            ("create_cluster", "cluster.create"),
            ("put_grant", "grant.put"),
            ("revoke_api_token", "api_token.revoke"),
            ("sign_in", "sign_in.password"),
            ("sign_out", "sign_out"),
            ("health", "health"),
        ] {
            assert_eq!(action(operation), called);
        }
    }
}
