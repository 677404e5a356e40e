//! What edges refused. An edge says what a request showed; who that is, and whose the cluster is, is looked up here.
//!
//! A line stands in the log of whoever was refused, and in the log of the cluster's tenant, where somebody of another
//! tenant is nobody: neither learns of the other. What is nobody's at all stands in the installation's log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use updraft_api::edge::BrowserOrigin;
use updraft_api::edge_refusals::{Presented, REFUSALS_AT_ONCE, Refusals, Refused, RefusedFor};
use updraft_model::{AuditActorKind, AuditOutcome, ClusterId, SessionId, TenantId, TokenLimit};
use updraft_store::audit_log::Entry;
use updraft_store::edge_refusals::{self, NamedCluster, NamedSession, NamedToken};

use super::{By, Origin, Target, line, request};
use crate::{App, AppError};

const ACTION: &str = "airflow.open";

/// What control knows of all that a report names.
struct Known {
    clusters: HashMap<ClusterId, NamedCluster>,
    sessions: HashMap<SessionId, NamedSession>,
    tokens: HashMap<[u8; 32], NamedToken>,
}

impl App {
    /// Writes what an edge refused to the logs of those whom it concerns. What is too often the same, or too much by
    /// strangers, is counted as anywhere else.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `refusals` when there are too many; when the database cannot be asked.
    pub async fn note_edge_refusals(&self, told: Refusals) -> Result<(), AppError> {
        if told.refusals.len() > REFUSALS_AT_ONCE {
            return Err(AppError::invalid("refusals", "tell at most 256 at once"));
        }
        let known = self.named_in(&told.refusals).await?;
        for refused in &told.refusals {
            for entry in known.lines(refused, self.now()) {
                self.record_refusals(entry, None, refused.times).await;
            }
        }
        if told.dropped > 0 {
            self.record_refusals(dropped(told.dropped), None, 1).await;
        }
        Ok(())
    }

    async fn named_in(&self, refused: &[Refused]) -> Result<Known, AppError> {
        let clusters: Vec<_> = refused.iter().filter_map(|one| one.cluster).collect();
        let sessions: Vec<_> = refused.iter().filter_map(|one| session(one.with)).collect();
        let tokens: Vec<_> = refused.iter().filter_map(|one| token(one.with)).collect();
        let mut connection = self.store().connection().await?;
        Ok(Known {
            clusters: edge_refusals::clusters(&mut connection, &clusters).await?,
            sessions: edge_refusals::sessions(&mut connection, &sessions).await?,
            tokens: edge_refusals::tokens(&mut connection, &tokens).await?,
        })
    }
}

// === impl Known ===

impl Known {
    fn lines(&self, refused: &Refused, now: DateTime<Utc>) -> Vec<Entry> {
        let cluster = refused.cluster.and_then(|id| self.clusters.get(&id));
        let there = cluster.map(|cluster| cluster.tenant);
        let reason = self.reason(refused, now);
        // Who made somebody's browser ask is not known: it was not them.
        let by = self
            .who(refused.with)
            .filter(|_| refused.why != RefusedFor::CrossSite);
        let stranger = By {
            tenant: there,
            ..By::nobody("")
        };
        let concerned = match by {
            Some(by) if there.is_some() && by.tenant != there => vec![(by, reason), (stranger, "no-role")],
            Some(by) => vec![(by, reason)],
            None => vec![(stranger, reason)],
        };
        concerned
            .into_iter()
            .map(|(by, reason)| self.line(refused, by, reason))
            .collect()
    }

    fn line(&self, refused: &Refused, by: By, reason: &str) -> Entry {
        let target = refused.cluster.map(|id| {
            let own = self
                .clusters
                .get(&id)
                .filter(|cluster| Some(cluster.tenant) == by.tenant);
            Target::new("cluster", id, own.map(|cluster| cluster.name.as_str()))
        });
        Entry {
            reason: Some(reason.to_owned()),
            after: Some(counted(refused)),
            ..line(
                origin(&refused.from),
                by,
                AuditOutcome::Refused,
                ACTION.to_owned(),
                target,
            )
        }
    }

    fn who(&self, with: Presented) -> Option<By> {
        let by = |tenant: TenantId, kind, id, name: &str, credential| By {
            tenant: Some(tenant),
            kind,
            id: Some(id),
            name: name.to_owned(),
            credential: Some(credential),
        };
        match with {
            Presented::Nothing => None,
            Presented::Session(id) => self.sessions.get(&id).map(|found| {
                let credential = format!("session:{id}");
                by(
                    found.tenant,
                    AuditActorKind::Person,
                    found.user.0,
                    &found.email,
                    credential,
                )
            }),
            Presented::Token(hash) => self.tokens.get(&hash.0).map(|found| {
                let credential = format!("token:{}", found.id);
                by(found.tenant, kind(found), found.user.0, &found.email, credential)
            }),
        }
    }

    /// Edges forget tokens that are worth nothing any more; control still knows why.
    fn reason(&self, refused: &Refused, now: DateTime<Utc>) -> &'static str {
        let found = token(refused.with).and_then(|hash| self.tokens.get(&hash));
        match found {
            Some(token) if refused.why == RefusedFor::Token => {
                if token.revoked_at.is_some() {
                    "token-revoked"
                } else if token.expires_at.is_some_and(|end| end <= now) {
                    "token-expired"
                } else if token.is_of_nobody {
                    "token-of-nobody"
                } else {
                    "token-too-new"
                }
            }
            _ => refused.why.word(),
        }
    }
}

fn session(with: Presented) -> Option<SessionId> {
    match with {
        Presented::Session(id) => Some(id),
        Presented::Nothing | Presented::Token(_) => None,
    }
}

fn token(with: Presented) -> Option<[u8; 32]> {
    match with {
        Presented::Token(hash) => Some(hash.0),
        Presented::Nothing | Presented::Session(_) => None,
    }
}

fn kind(token: &NamedToken) -> AuditActorKind {
    match token.limit {
        TokenLimit::Scim => AuditActorKind::Directory,
        TokenLimit::Full | TokenLimit::Admin | TokenLimit::User if token.is_service => {
            AuditActorKind::Service
        }
        TokenLimit::Full | TokenLimit::Admin | TokenLimit::User => AuditActorKind::Person,
    }
}

fn origin(from: &BrowserOrigin) -> Origin {
    Origin {
        address: from.address,
        user_agent: from.user_agent.clone(),
        request_id: request::plain(&from.request_id, 64),
    }
}

fn counted(refused: &Refused) -> Value {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).map(|at: DateTime<Utc>| at.to_rfc3339());
    json!({"repeated": refused.times, "first": at(refused.first), "last": at(refused.last)})
}

/// Refused requests that an edge had no room to remember.
fn dropped(requests: u64) -> Entry {
    Entry {
        reason: Some("too-many-refusals".to_owned()),
        after: Some(json!({"repeated": requests})),
        ..line(
            Origin::default(),
            By::nobody("many"),
            AuditOutcome::Refused,
            "many".to_owned(),
            None,
        )
    }
}
