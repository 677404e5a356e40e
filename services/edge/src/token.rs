//! Verified session tokens, known API tokens, and the tokens minted for Airflow from them.
//!
//! Both signatures cost more than forwarding a request, so their results are kept for a while: a verification until the
//! token expires or the snapshot changes, a minted token for half of its life. Rights are never kept: they are looked up
//! in the policy for every request. Only tokens that are good are kept, so strangers cannot fill the memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use http::HeaderValue;
use updraft_api::edge_refusals::{Presented, RefusedFor};
use updraft_authz::{
    ApiToken, Proof, SigningKey, TokenError, Visitor, mint_airflow_token, verify_session_token,
};
use updraft_model::{ClusterId, ClusterRole};

use crate::refusals::{Refusal, presented};
use crate::table::Table;
use crate::token_uses::{NOTE_EACH_SECONDS, Pending};

/// A minted token lives 60 s; it is replaced after half of that.
const REMINT_SECONDS: i64 = 30;
/// Sessions kept at once by one worker; beyond it the memory is emptied and fills again.
const CAPACITY: usize = 4096;

/// Tokens that were found good by one worker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The snapshot whose keys verified what is kept.
    version: Option<i64>,
    by_token: HashMap<Box<str>, Arc<Session>>,
}

/// One verified session token, or one API token that the policy knows.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) visitor: Visitor,
    /// Where a session is good. An API token is good on every host, but never in a cookie.
    host: Option<String>,
    minted: Mutex<Vec<Minted>>,
    /// When the use of an API token was last noted, in Unix seconds.
    noted: AtomicI64,
}

struct Minted {
    cluster: ClusterId,
    role: ClusterRole,
    kid: String,
    at: i64,
    value: HeaderValue,
}

// === impl Sessions ===

impl Sessions {
    /// The session behind a token presented on `host`, if it is valid now.
    pub(crate) fn verify(
        &self,
        table: &Table,
        token: &str,
        host: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Session>, Refusal> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.follow(table);
        if let Some(session) = known.by_token.get(token) {
            return session.check(host, now).map(|()| Arc::clone(session));
        }
        let claims = verify_session_token(&table.session_keys, token, host, now)?;
        let session = Arc::new(Session::new(claims.into(), Some(host.to_owned())));
        known.keep(token, &session);
        Ok(session)
    }

    /// The same for what came as `Authorization: Bearer`, which may be an API token too.
    pub(crate) fn verify_bearer(
        &self,
        table: &Table,
        text: &str,
        host: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Session>, Refusal> {
        if !ApiToken::has_prefix(text) {
            return self.verify(table, text, host, now);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.follow(table);
        if let Some(session) = known.by_token.get(text) {
            return session.check_expiry(now).map(|()| Arc::clone(session));
        }
        let token = ApiToken::parse(text).ok_or(TokenError::Invalid("malformed"))?;
        let unknown = || Refusal {
            why: RefusedFor::Token,
            with: Presented::Token(token.hash()),
        };
        let session = Session::new(table.policy.visitor(&token).ok_or_else(unknown)?, None);
        session.check_expiry(now)?;
        let session = Arc::new(session);
        known.keep(text, &session);
        Ok(session)
    }
}

impl Known {
    /// Forgets all when the keys may have changed.
    fn follow(&mut self, table: &Table) {
        if self.version != table.version {
            self.version = table.version;
            self.by_token.clear();
        }
    }

    fn keep(&mut self, token: &str, session: &Arc<Session>) {
        if self.by_token.len() >= CAPACITY {
            self.by_token.clear();
        }
        self.by_token.insert(token.into(), Arc::clone(session));
    }
}

// === impl Session ===

impl Session {
    fn new(visitor: Visitor, host: Option<String>) -> Self {
        Self {
            visitor,
            host,
            minted: Mutex::default(),
            noted: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether a token that was good is good for this host now.
    pub(crate) fn check(&self, host: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.host.as_deref() != Some(host) {
            return Err(self.refused(RefusedFor::SessionElsewhere));
        }
        self.check_expiry(now)
    }

    fn check_expiry(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.visitor.expires_at > now.timestamp() {
            return Ok(());
        }
        Err(self.refused(match self.visitor.proof {
            Proof::Session(_) => RefusedFor::SessionExpired,
            Proof::Token { .. } => RefusedFor::Token,
        }))
    }

    fn refused(&self, why: RefusedFor) -> Refusal {
        let with = presented(&self.visitor);
        Refusal { why, with }
    }

    /// Notes that an API token was used, unless that was noted a moment ago.
    pub(crate) fn note_use(&self, pending: &Pending, now: DateTime<Utc>) {
        let (Proof::Token { id, .. }, now) = (self.visitor.proof, now.timestamp()) else {
            return;
        };
        if now.saturating_sub(self.noted.load(Ordering::Relaxed)) >= NOTE_EACH_SECONDS {
            self.noted.store(now, Ordering::Relaxed);
            pending.note(id, now);
        }
    }

    /// `Authorization` for one cluster's Airflow.
    pub(crate) fn authorization(
        &self,
        key: &SigningKey,
        cluster: ClusterId,
        role: ClusterRole,
        now: DateTime<Utc>,
    ) -> Result<HeaderValue, TokenError> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        minted.retain(|m| (0..REMINT_SECONDS).contains(&(now.timestamp() - m.at)));
        if let Some(kept) = minted
            .iter()
            .find(|m| m.cluster == cluster && m.role == role && m.kid == key.kid)
        {
            return Ok(kept.value.clone());
        }
        let token = mint_airflow_token(key, &self.visitor, cluster, role, now)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| TokenError::Sign)?;
        value.set_sensitive(true);
        minted.push(Minted {
            cluster,
            role,
            kid: key.kid.clone(),
            at: now.timestamp(),
            value: value.clone(),
        });
        Ok(value)
    }
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted")
            .field("cluster", &self.cluster)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
