//! Tells the audit log where a request comes from, and what was refused of it.
//!
//! What a use case began to do goes by its own name there. What was refused before one came to say so (a form that
//! another site sent, a session that has ended) goes by `console.form` or `console.page`, with the path.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{HeaderName, HeaderValue, USER_AGENT};
use axum::middleware::Next;
use axum::response::Response;
use updraft_app::audit::{Origin, Refusal as Line, Target};
use updraft_model::AuditOutcome;
use uuid::Uuid;

use crate::refusal::Refusal;
use crate::session::COOKIE;
use crate::shell::cookie;
use crate::state::Console;

/// What the audit log and the answer call a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The same, for the pages that tell it.
#[derive(Clone, Debug)]
pub(crate) struct Reference(pub(crate) String);

/// What is known of a request before it is worked on.
struct Asked {
    path: String,
    changes: bool,
    has_session: bool,
}

pub(crate) async fn audited(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let origin = origin(&request);
    request
        .extensions_mut()
        .insert(Reference(origin.request_id.clone()));
    let id = HeaderValue::try_from(&origin.request_id);
    let asked = Asked {
        path: request.uri().path().to_owned(),
        changes: !request.method().is_safe(),
        has_session: cookie(request.headers(), COOKIE).is_some(),
    };
    let work = next.run(request);
    let mut response = console
        .app
        .audited(origin, work, |response, attempted| {
            asked.refusal(response, attempted)
        })
        .await;
    if let Ok(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn origin(request: &Request) -> Origin {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let agent = request.headers().get(USER_AGENT);
    Origin {
        address: peer.map(|ConnectInfo(peer)| peer.ip()),
        user_agent: agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
        request_id: Uuid::now_v7().to_string(),
    }
}

// === impl Asked ===

impl Asked {
    fn refusal(self, response: &Response, attempted: bool) -> Option<Line> {
        let (status, refusal) = (response.status(), response.extensions().get::<Refusal>());
        let outcome = match status {
            _ if status.is_server_error() => AuditOutcome::Failed,
            _ if status.is_client_error() => AuditOutcome::Refused,
            _ if matches!(refusal, Some(Refusal::SignedOut(_))) => AuditOutcome::Refused,
            _ => return None,
        };
        let telling = match refusal {
            Some(Refusal::SignedOut(_)) => self.has_session,
            Some(Refusal::Refused(..)) => matches!(status.as_u16(), 403 | 404 | 429),
            Some(Refusal::NoPage) => return None,
            Some(Refusal::Foreign | Refusal::TooLarge | Refusal::Malformed(_) | Refusal::Unrenderable)
            | None => false,
        };
        (self.changes || attempted || telling).then_some(())?;
        Some(Line {
            outcome,
            reason: refusal.map(|refusal| refusal.word().to_owned()),
            action: if self.changes {
                "console.form"
            } else {
                "console.page"
            }
            .to_owned(),
            target: Some(Target::new("path", self.path, None)),
        })
    }
}
