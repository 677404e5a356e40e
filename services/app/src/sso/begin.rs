//! Sending a browser to its tenant's provider.
//!
//! Anybody may ask for it, and each time something is remembered: so it is counted per client and per provider, and of one
//! provider only the newest are remembered. The oldest go first, rather than the next one being refused: else whoever
//! begins thousands would keep everybody else out.

use std::net::IpAddr;

use chrono::Duration;
use updraft_authz::{Actor, TenantAction};
use updraft_model::ProviderId;
use updraft_sso::sha256;
use updraft_store::identity_providers::{self, ProviderRecord};
use updraft_store::sign_in_attempts::{self, NewAttempt};

use super::{Retry, SsoError};
use crate::audit::{attempt, recognise_provider};
use crate::error::{AppError, Resource};
use crate::{App, access};

/// How long the provider and the person may take.
const ATTEMPT_LIFETIME: Duration = Duration::minutes(10);
/// Of one provider. As fast as they may be begun, a person still has over three minutes to come back.
const REMEMBERED: i64 = 2_000;

#[derive(Clone, Copy, Debug)]
pub struct BeginSignIn<'a> {
    pub provider: ProviderId,
    /// What the browser's cookie holds: only this browser may come back.
    pub binding: &'a str,
    /// The address that the person typed.
    pub email: Option<&'a str>,
    /// Kept as it is; whoever redirects there judges it.
    pub return_to: &'a str,
}

/// Where to send the browser, and what to call the place.
#[derive(Clone, Debug)]
pub struct BegunSignIn {
    pub url: String,
    pub provider_name: String,
}

impl App {
    /// Begins a sign-in through an enabled provider.
    ///
    /// # Errors
    /// [`SsoError::Refused`] when there is no such enabled provider, or it gives no answer;
    /// [`SsoError::TooMany`] from this address, or through this provider.
    pub async fn begin_sign_in(&self, wish: BeginSignIn<'_>, from: IpAddr) -> Result<BegunSignIn, AppError> {
        let _named = attempt("sign_in.begin");
        self.begin_limits()
            .check(&wish.provider.to_string(), from)
            .map_err(|retry_after| SsoError::TooMany {
                retry_after,
                retry: wish.retry(),
            })?;
        let record = {
            let mut connection = self.store().connection().await?;
            identity_providers::find_anywhere(&mut connection, wish.provider).await?
        };
        let record = record.ok_or_else(disabled)?;
        recognise_provider(record.tenant, record.id, &record.name);
        if !record.enabled {
            return Err(disabled().into());
        }
        self.begin_attempt(record, wish, false).await
    }

    /// Begins a test sign-in: it shows what the provider says, and signs nobody in.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`]; [`SsoError::Refused`] when the provider gives no answer.
    pub async fn begin_test_sign_in(
        &self,
        actor: &Actor,
        wish: BeginSignIn<'_>,
    ) -> Result<BegunSignIn, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let record = {
            let mut connection = self.store().connection().await?;
            identity_providers::find(&mut connection, actor.tenant, wish.provider).await?
        };
        let record = record.ok_or(AppError::NotFound(Resource::IdentityProvider))?;
        self.begin_attempt(record, wish, true).await
    }

    async fn begin_attempt(
        &self,
        record: ProviderRecord,
        wish: BeginSignIn<'_>,
        is_test: bool,
    ) -> Result<BegunSignIn, AppError> {
        let now = self.now();
        let ready = {
            let mut connection = self.store().connection().await?;
            self.ready(&mut connection, record).await?
        };
        let begun = self
            .begin_with(&ready, wish.email, now)
            .await
            .map_err(|error| error.with_retry(&wish.retry()))?;
        let memory = begun.memory.written()?;
        let attempt = NewAttempt {
            state_hash: sha256(begun.state.as_bytes()),
            tenant: ready.record.tenant,
            provider: ready.record.id,
            binding_hash: sha256(wish.binding.as_bytes()),
            memory: &memory,
            return_to: wish.return_to,
            is_test,
            expires_at: now + ATTEMPT_LIFETIME,
        };
        let mut connection = self.store().connection().await?;
        sign_in_attempts::insert(&mut connection, &self.config().master_key, &attempt).await?;
        let (tenant, provider) = (ready.record.tenant, ready.record.id);
        sign_in_attempts::forget_older(&mut connection, tenant, provider, REMEMBERED).await?;
        Ok(BegunSignIn {
            url: begun.url,
            provider_name: ready.record.name,
        })
    }
}

// === impl BeginSignIn ===

impl BeginSignIn<'_> {
    fn retry(&self) -> Retry {
        Retry {
            provider: self.provider,
            return_to: self.return_to.to_owned(),
        }
    }
}

/// The same for one that does not exist, so that nobody learns which do.
pub(super) fn disabled() -> SsoError {
    SsoError::refused(
        "sign_in.provider_disabled",
        "nobody can sign in through this identity provider now",
    )
}
