//! The audit log: who tried what, from where, and what came of it.
//!
//! A use case that changes something begins with [`attempt`] and ends with [`Attempt::done`], in the transaction of the
//! change itself: nothing is changed without a line, and no line is about a change that did not happen. It does not
//! record refusals: whatever it returns instead, [`App::audited`] writes down, once, where a request leaves the app, and
//! it knows of requests that no use case saw. Where a request came from travels beside it, as a task-local that
//! [`App::audited`] sets and [`carried`] takes along to another task.
//!
//! No secret gets into a line: see [`Change`].

mod at_edges;
mod change;
mod fold;
mod read;
mod refusals;
mod request;

use std::fmt::Display;

use updraft_authz::{Actor, Credential};
use updraft_model::{AuditActorKind, AuditOutcome, ClusterId, ProviderId, TenantId, TokenLimit, UserId};
use updraft_store::PgConnection;
use updraft_store::audit_log::{self, Entry};
use uuid::Uuid;

use crate::AppError;

pub use change::Change;
pub(crate) use fold::Fold;
pub use read::{AuditFilter, AuditLines, entry};
pub use refusals::Refusal;
pub use request::{Origin, carried, refused, word};
pub(crate) use request::{origin, recognise, recognise_operator, recognise_provider};

/// Something that is being tried. What the line calls it is known from now on, also when it is refused.
#[derive(Clone, Debug)]
#[must_use = "what succeeds has to be recorded with `done`"]
pub struct Attempt {
    action: &'static str,
    target: Option<Target>,
    /// Whether it is what the request is about.
    asked: bool,
}

/// What something is done to: `cluster:7`, and how it is called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    what: String,
    name: Option<String>,
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    tenant: Option<TenantId>,
    kind: AuditActorKind,
    id: Option<Uuid>,
    name: String,
    credential: Option<String>,
}

/// Begins a use case that changes something or signs somebody in: `cluster.start`, `sign_in.password`.
pub fn attempt(action: &'static str) -> Attempt {
    Attempt {
        action,
        target: None,
        asked: true,
    }
    .noted()
}

/// Begins something that is done along with what was asked for: a refusal still goes by the name of the latter.
pub fn besides(action: &'static str) -> Attempt {
    Attempt {
        action,
        target: None,
        asked: false,
    }
}

// === impl Attempt ===

impl Attempt {
    /// On what; known once it was looked up or made.
    pub fn on(self, target: Target) -> Self {
        Self {
            target: Some(target),
            ..self
        }
        .noted()
    }

    fn noted(self) -> Self {
        if self.asked {
            request::note(|known| known.attempt = Some(self.clone()));
        }
        self
    }

    /// By somebody who still has to prove it; a refusal is shown to the tenant of the account they claim.
    pub fn claimed_by(self, name: &str) -> Self {
        request::note(|known| known.claimed = Some(request::plain(name, 254)));
        self
    }

    /// Writes the line, in the transaction of the change.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn done(
        &self,
        tx: &mut PgConnection,
        by: impl Into<By>,
        change: Change,
    ) -> Result<(), AppError> {
        self.written(tx, request::origin(), by.into(), change).await
    }

    /// The same in the log of a tenant that is not to know where it was done from.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(crate) async fn done_from_afar(
        &self,
        tx: &mut PgConnection,
        by: By,
        change: Change,
    ) -> Result<(), AppError> {
        self.written(tx, Origin::default(), by, change).await
    }

    async fn written(
        &self,
        tx: &mut PgConnection,
        origin: Origin,
        by: By,
        change: Change,
    ) -> Result<(), AppError> {
        let (before, after) = change.shown();
        let (action, target) = (self.action.to_owned(), self.target.clone());
        let entry = Entry {
            before,
            after,
            ..line(origin, by, AuditOutcome::Done, action, target)
        };
        audit_log::append(tx, &entry).await?;
        Ok(())
    }
}

/// Writes that Updraft itself failed at something, which no request is about any more.
///
/// # Errors
/// When the database cannot be asked.
pub(crate) async fn failed_by_system(
    tx: &mut PgConnection,
    tenant: TenantId,
    action: &str,
    target: Target,
    reason: &str,
) -> Result<(), AppError> {
    let by = By::system(Some(tenant));
    let entry = Entry {
        reason: Some(reason.to_owned()),
        ..line(
            Origin::default(),
            by,
            AuditOutcome::Failed,
            action.to_owned(),
            Some(target),
        )
    };
    audit_log::append(tx, &entry).await?;
    Ok(())
}

/// A line without what changed.
fn line(origin: Origin, by: By, outcome: AuditOutcome, action: String, target: Option<Target>) -> Entry {
    let (target, target_name) = target.map(|target| (target.what, target.name)).unzip();
    Entry {
        tenant: by.tenant,
        actor_kind: by.kind,
        actor_id: by.id,
        actor_name: by.name,
        credential: by.credential,
        action,
        outcome,
        reason: None,
        target,
        target_name: target_name.flatten(),
        before: None,
        after: None,
        address: origin.address,
        user_agent: origin.user_agent.map(|text| request::plain(&text, 300)),
        request_id: (!origin.request_id.is_empty()).then_some(origin.request_id),
    }
}

/// What an actor is, by what they came with.
fn kind(actor: &Actor) -> AuditActorKind {
    match actor.credential {
        Credential::Token {
            limit: TokenLimit::Scim,
            ..
        } => AuditActorKind::Directory,
        Credential::Session(_) | Credential::Token { .. } if actor.is_service => AuditActorKind::Service,
        Credential::Session(_) | Credential::Token { .. } => AuditActorKind::Person,
    }
}

// === impl Target ===

impl Target {
    /// `kind:id`, for example `access_rule:…`.
    pub fn new(kind: &str, id: impl Display, name: Option<&str>) -> Self {
        Self {
            what: format!("{kind}:{id}"),
            name: name.map(|name| request::plain(name, 254)),
        }
    }

    pub fn cluster(id: ClusterId, name: impl Display) -> Self {
        Self::new("cluster", id, Some(&name.to_string()))
    }

    pub fn person(id: UserId, email: &str) -> Self {
        Self::new("person", id, Some(email))
    }
}

// === impl By ===

impl By {
    /// Updraft itself, on its own account.
    #[must_use]
    pub fn system(tenant: Option<TenantId>) -> Self {
        Self {
            tenant,
            kind: AuditActorKind::System,
            id: None,
            name: "Updraft".to_owned(),
            credential: None,
        }
    }

    /// Somebody who runs the installation, in what only such people may do.
    #[must_use]
    pub(crate) fn operator(actor: &Actor) -> Self {
        Self {
            kind: AuditActorKind::Operator,
            ..Self::from(actor)
        }
    }

    /// One who runs the installation, as a tenant knows them.
    #[must_use]
    pub(crate) fn an_operator(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            kind: AuditActorKind::Operator,
            id: None,
            name: "An operator of this installation".to_owned(),
            credential: None,
        }
    }

    /// For the installation's own log.
    #[must_use]
    pub(crate) fn of_no_tenant(self) -> Self {
        Self { tenant: None, ..self }
    }

    /// A tenant's identity provider.
    #[must_use]
    pub fn provider(tenant: TenantId, id: ProviderId, name: &str) -> Self {
        Self {
            tenant: Some(tenant),
            kind: AuditActorKind::Provider,
            id: Some(id.0),
            name: name.to_owned(),
            credential: None,
        }
    }

    /// Somebody who was handed a link of theirs.
    #[must_use]
    pub(crate) fn by_link(tenant: TenantId, user: UserId, email: &str) -> Self {
        Self {
            tenant: Some(tenant),
            kind: AuditActorKind::Person,
            id: Some(user.0),
            name: email.to_owned(),
            credential: Some("link".to_owned()),
        }
    }

    /// Somebody who proved nothing and named an account of this tenant.
    #[must_use]
    pub(crate) fn claimed(tenant: TenantId, name: &str) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::nobody(name)
        }
    }

    /// Somebody who proved nothing, under the name they claimed.
    #[must_use]
    pub(crate) fn nobody(name: &str) -> Self {
        Self {
            tenant: None,
            kind: AuditActorKind::Nobody,
            id: None,
            name: name.to_owned(),
            credential: None,
        }
    }
}

impl From<&Actor> for By {
    fn from(actor: &Actor) -> Self {
        Self {
            tenant: Some(actor.tenant),
            kind: kind(actor),
            id: Some(actor.user.0),
            name: actor.email.clone(),
            credential: Some(match actor.credential {
                Credential::Session(id) => format!("session:{id}"),
                Credential::Token { id, .. } => format!("token:{id}"),
            }),
        }
    }
}
