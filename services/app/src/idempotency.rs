//! Answers kept for repeated requests. The key is the person's own: no answer reaches another person.

use chrono::Duration;
use updraft_authz::Actor;
use updraft_sso::sha256;
use updraft_store::idempotency_keys::{self, Claim};

use crate::{App, AppError};

/// A claim whose process died is taken over after this time; no request lasts so long.
const ABANDONED_AFTER: Duration = Duration::minutes(2);
const MAX_LENGTH: usize = 200;

/// What a person calls one request, and what that request is.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    stored: String,
    route: String,
    request_hash: [u8; 32],
}

#[derive(Clone, Debug, PartialEq)]
pub enum IdempotentClaim {
    /// Do it, then tell [`App::settle_idempotency`].
    Mine,
    /// The key was used for something else.
    OtherRequest,
    InProgress,
    Answered(StoredAnswer),
}

/// A successful answer as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAnswer {
    pub status: u16,
    pub body: serde_json::Value,
}

// === impl IdempotencyKey ===

impl IdempotencyKey {
    /// `request` are the bytes that make the request what it is; keep passwords out of them.
    ///
    /// # Errors
    /// [`AppError::Invalid`] when the key is not 1 to 200 visible ASCII characters.
    pub fn new(actor: &Actor, key: &str, route: &str, request: &[u8]) -> Result<Self, AppError> {
        if !(1..=MAX_LENGTH).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let why = format!("use 1 to {MAX_LENGTH} visible ASCII characters, for example a random UUID");
            return Err(AppError::invalid("Idempotency-Key", why));
        }
        // A hash, so that person and key together fit the column.
        let stored = hex::encode(sha256(format!("{}/{key}", actor.user).as_bytes()));
        Ok(Self {
            stored,
            route: route.to_owned(),
            request_hash: sha256(request),
        })
    }
}

impl App {
    /// # Errors
    /// When the database cannot be asked.
    pub async fn claim_idempotency(
        &self,
        actor: &Actor,
        key: &IdempotencyKey,
    ) -> Result<IdempotentClaim, AppError> {
        let mut connection = self.store().connection().await?;
        let abandoned_before = self.now() - ABANDONED_AFTER;
        let claim = idempotency_keys::claim(
            &mut connection,
            actor.tenant,
            &key.stored,
            &key.route,
            &key.request_hash,
            abandoned_before,
        )
        .await?;
        Ok(match claim {
            Claim::Mine => IdempotentClaim::Mine,
            Claim::OtherRequest => IdempotentClaim::OtherRequest,
            Claim::InProgress => IdempotentClaim::InProgress,
            Claim::Answered { status, body } => IdempotentClaim::Answered(StoredAnswer { status, body }),
        })
    }

    /// Keeps the answer for repeats; without one (nothing was changed) the key is free again.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn settle_idempotency(
        &self,
        actor: &Actor,
        key: &IdempotencyKey,
        answer: Option<&StoredAnswer>,
    ) -> Result<(), AppError> {
        let mut connection = self.store().connection().await?;
        match answer {
            Some(StoredAnswer { status, body }) => {
                idempotency_keys::complete(&mut connection, actor.tenant, &key.stored, *status, body).await?;
            }
            None => idempotency_keys::release(&mut connection, actor.tenant, &key.stored).await?,
        }
        Ok(())
    }
}
