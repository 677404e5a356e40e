//! One's own sessions, on the account page: where one is signed in, and ending it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use updraft_api::tokens::SessionView;
use updraft_app::PageRequest;
use updraft_model::SessionId;

use crate::extract::At;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;

#[derive(Template)]
#[template(path = "pages/sessions.html")]
pub(crate) struct Sessions {
    rows: Vec<Row>,
}

struct Row {
    id: SessionId,
    current: bool,
    program: String,
    address: String,
    through: String,
    since: Moment,
    used: Option<Moment>,
}

impl HtmlSafe for Sessions {}

// === impl Sessions ===

impl Sessions {
    pub(crate) fn new(sessions: Vec<SessionView>, now: DateTime<Utc>) -> Self {
        let rows = sessions.into_iter().map(|session| Row::new(session, now));
        Self { rows: rows.collect() }
    }

    pub(crate) async fn of(console: &Console, visit: &Visit) -> Result<Self, Refusal> {
        let most = PageRequest {
            cursor: None,
            limit: Some(200),
        };
        let page = console.app.list_sessions(&visit.actor, None, most).await?;
        Ok(Self::new(page.items, Utc::now()))
    }
}

// === impl Row ===

impl Row {
    fn new(session: SessionView, now: DateTime<Utc>) -> Self {
        Self {
            id: session.id,
            current: session.current,
            program: program(session.user_agent.as_deref()).to_owned(),
            address: session.address.unwrap_or_else(|| "unknown".to_owned()),
            through: session.provider.unwrap_or_else(|| "password".to_owned()),
            since: Moment::new(session.created_at, now),
            used: session.used_at.map(|at| Moment::new(at, now)),
        }
    }
}

/// What people call it. The order matters: browsers claim to be their predecessors.
fn program(user_agent: Option<&str>) -> &str {
    let Some(agent) = user_agent else {
        return "unknown program";
    };
    let known = [
        ("updraft/", "updraft command line"),
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let found = known.iter().find(|(part, _)| agent.contains(part));
    found.map_or(agent, |(_, name)| name)
}

// === handlers ===

pub(crate) async fn end(State(console): State<Console>, visit: Visit, At(session): At<SessionId>) -> Answer {
    console.app.revoke_session(&visit.actor, session).await?;
    Ok(Redirect::to("/account").into_response())
}

pub(crate) async fn end_others(State(console): State<Console>, visit: Visit) -> Answer {
    console.app.revoke_sessions(&visit.actor, None).await?;
    Ok(Redirect::to("/account").into_response())
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn programs_are_called_what_people_call_them() {
        for (agent, name) in [
            ("updraft/0.1.0", "updraft command line"),
            (
                "Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
                "Chrome",
            ),
            ("Mozilla/5.0 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge"),
            ("curl/8.5.0", "curl/8.5.0"),
        ] {
            assert_eq!(program(Some(agent)), name);
        }
    }
}
