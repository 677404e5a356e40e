//! The audit log, as the rows expect it.

use std::net::IpAddr;

use axum::http::StatusCode;
use updraft_model::{AuditActorKind, AuditOutcome, TenantId};
use updraft_store::audit_log::{self, Entry, Filter};
use uuid::Uuid;

use crate::house::{Answer, House};

/// What the one line of a refusal says.
#[derive(Clone, Debug)]
pub(crate) struct Told<'a> {
    /// Whose log it is in. None: the installation's.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) action: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) kind: AuditActorKind,
    /// None: nobody, by whatever name.
    pub(crate) actor: Option<Uuid>,
    pub(crate) from: IpAddr,
}

impl House {
    /// Of a tenant, or of nobody in particular; the newest first.
    pub(crate) async fn lines(&self, tenant: Option<TenantId>) -> Vec<Entry> {
        let mut tx = self.tx().await;
        let lines = audit_log::list_before(&mut tx, tenant, &Filter::default(), None, 100_000)
            .await
            .unwrap();
        lines.into_iter().map(|line| line.entry).collect()
    }

    /// Refused, not failed; and the log has this line of it, and no other, in whichever log.
    pub(crate) async fn assert_refused(&self, name: &str, answer: &Answer, whose: TenantId, told: &Told<'_>) {
        let status = answer.status;
        let to_sign_in = status.is_redirection() && answer.location().starts_with("/sign-in");
        // Which tells a browser to listen no longer.
        let over = status == StatusCode::NO_CONTENT;
        assert!(
            status.is_client_error() || to_sign_in || over,
            "{name}: {status} {}",
            answer.said()
        );
        assert_eq!(
            answer.cookie("updraft_session"),
            None,
            "{name}: a session was given"
        );
        let mut lines = self.lines(Some(whose)).await;
        lines.extend(self.lines(None).await);
        lines.retain(|line| line.address == Some(told.from) && line.outcome != AuditOutcome::Done);
        assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
        let line = lines.remove(0);
        let said = (line.tenant, line.action.as_str(), line.reason.as_deref());
        assert_eq!(said, (told.tenant, told.action, Some(told.reason)), "{name}");
        assert_eq!(line.outcome, AuditOutcome::Refused, "{name}");
        assert_eq!(
            (line.actor_kind, line.actor_id),
            (told.kind, told.actor),
            "{name}"
        );
        assert_eq!(line.user_agent.as_deref(), Some("hostile"), "{name}");
        assert_request(name, answer, &line);
    }

    /// Done; where something was changed by it, or somebody signed in, the log has the line.
    pub(crate) async fn assert_done(
        &self,
        name: &str,
        answer: &Answer,
        tenant: TenantId,
        action: Option<&str>,
    ) {
        let to_sign_in = answer.location().starts_with("/sign-in");
        let good = answer.status.is_success() || answer.status.is_redirection();
        let why = format!("the control of {name}: {} {}", answer.status, answer.said());
        assert!(good && !to_sign_in, "{why}");
        let Some(action) = action else {
            return;
        };
        let id = answer.header("x-request-id").unwrap();
        let lines = self.lines(Some(tenant)).await;
        // Along with a first sign-in a person is made.
        let lines = lines.iter().filter(|line| line.request_id.as_deref() == Some(id));
        let lines: Vec<_> = lines.filter(|line| line.action == action).collect();
        let [line] = lines[..] else {
            panic!("{why}: {lines:#?}");
        };
        assert_eq!(line.outcome, AuditOutcome::Done, "{why}");
    }
}

/// Edges have ids of their own for what browsers asked of them.
fn assert_request(name: &str, answer: &Answer, line: &Entry) {
    let id = line.request_id.as_deref();
    assert!(id.is_some_and(|id| !id.is_empty()), "{name}");
    if let Some(answered) = answer.header("x-request-id") {
        assert_eq!(id, Some(answered), "{name}");
    }
}
