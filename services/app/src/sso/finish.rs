//! A browser comes back from its provider: the attempt is used up, whatever is then found wrong.

use chrono::{DateTime, Utc};
use updraft_model::ProviderId;
use updraft_sso::oidc::Callback;
use updraft_sso::saml::{self, AssertionUse};
use updraft_sso::{Refusal, VouchedIdentity, sha256};
use updraft_store::identity_providers::{self, ProviderRecord};
use updraft_store::sign_in_attempts::{self, Unusable, UsedAttempt};
use updraft_store::{StoreError, saml_assertions};

use super::protocol::{Memory, Ready, Speaks, mismatched};
use super::{Retry, SsoError, begin};
use crate::audit::{attempt, recognise_provider};
use crate::{App, AppError};

const UNKNOWN_STATE: &str = "sign_in.unknown_state";

/// What came of it.
#[derive(Debug)]
pub enum Finished {
    SignedIn {
        token: String,
        expires_at: DateTime<Utc>,
        /// As the browser asked for it when it began: to be judged again.
        return_to: String,
    },
    /// Only a test: the provider's page shows what was found.
    Tested { provider: ProviderId },
}

impl App {
    /// `query` is the callback's, `binding` what the browser's cookie holds.
    ///
    /// # Errors
    /// [`SsoError::Refused`].
    pub async fn finish_oidc_sign_in(
        &self,
        provider: ProviderId,
        query: &str,
        binding: Option<&str>,
    ) -> Result<Finished, AppError> {
        let _named = attempt("sign_in.oidc");
        let record = self.met(provider).await?;
        let callback = Callback::parse(query).map_err(SsoError::from)?;
        let state = callback.state().ok_or_else(|| unusable(Unusable::Unknown))?;
        let (attempt, ready) = self.use_attempt(record, state, binding).await?;
        let retry = retry(&attempt);
        let Memory::Oidc(begun) = Memory::read(&attempt.memory)? else {
            return Err(SsoError::from(mismatched()).into());
        };
        let Speaks::Oidc { config, secret } = &ready.speaks else {
            return Err(SsoError::from(mismatched()).into());
        };
        let now = self.now();
        if attempt.is_test {
            let explained = self
                .oidc()
                .explain(config, secret.as_ref(), &begun, &callback, now)
                .await;
            self.record_explained(&ready.record, explained.checks, &explained.identity)
                .await?;
            return Ok(Finished::Tested { provider });
        }
        let vouched = self
            .oidc()
            .finish(config, secret.as_ref(), &begun, &callback, now)
            .await
            .map_err(|refusal| refused(refusal, &retry))?;
        self.admit(&ready, vouched, None, attempt.return_to).await
    }

    /// `response` and `relay_state` are the form's. Without a relay state the provider began; so it may have with one that
    /// names no sign-in of ours, for many send a configured one along.
    ///
    /// # Errors
    /// [`SsoError::Refused`].
    pub async fn finish_saml_sign_in(
        &self,
        provider: ProviderId,
        response: &str,
        relay_state: Option<&str>,
        binding: Option<&str>,
    ) -> Result<Finished, AppError> {
        let _named = attempt("sign_in.saml");
        let now = self.now();
        let record = self.met(provider).await?;
        let Some(state) = relay_state.filter(|state| !state.is_empty()) else {
            return self.finish_unsolicited(provider, response, "").await;
        };
        let (attempt, ready) = match self.use_attempt(record, state, binding).await {
            Err(AppError::Sso(refused)) if refused.code() == UNKNOWN_STATE => {
                return self.finish_with_default(provider, response, state).await;
            }
            used => used?,
        };
        let retry = retry(&attempt);
        let Memory::Saml(begun) = Memory::read(&attempt.memory)? else {
            return Err(SsoError::from(mismatched()).into());
        };
        let Speaks::Saml { config, sp } = &ready.speaks else {
            return Err(SsoError::from(mismatched()).into());
        };
        let finished = saml::finish(config, sp, response, Some(&begun), now);
        if attempt.is_test {
            let identity = finished.map(|(vouched, _)| vouched);
            self.record_explained(&ready.record, Vec::new(), &identity)
                .await?;
            return Ok(Finished::Tested { provider });
        }
        let (vouched, once) = finished.map_err(|refusal| refused(refusal, &retry))?;
        self.admit(&ready, vouched, Some(once), attempt.return_to).await
    }

    /// With a relay state of the provider's own. Where it may not begin, and where the response answers some request, this
    /// was a sign-in of ours that is not remembered any more.
    async fn finish_with_default(
        &self,
        provider: ProviderId,
        response: &str,
        relay_state: &str,
    ) -> Result<Finished, AppError> {
        match self.finish_unsolicited(provider, response, relay_state).await {
            Err(AppError::Sso(refused)) if refused.code() == "saml.unsolicited" => {
                Err(AppError::from(unusable(Unusable::Unknown)).with_retry(&anew(provider)))
            }
            finished => finished,
        }
    }

    /// Begun at the provider, which the tenant has to have allowed: the protocol refuses it else. `return_to` is its word,
    /// to be judged like a browser's.
    async fn finish_unsolicited(
        &self,
        provider: ProviderId,
        response: &str,
        return_to: &str,
    ) -> Result<Finished, AppError> {
        let ready = self.enabled(provider).await?;
        let Speaks::Saml { config, sp } = &ready.speaks else {
            return Err(SsoError::from(mismatched()).into());
        };
        let (vouched, once) = saml::finish(config, sp, response, None, self.now()).map_err(SsoError::from)?;
        self.admit(&ready, vouched, Some(once), return_to.to_owned())
            .await
    }

    pub(super) async fn enabled(&self, provider: ProviderId) -> Result<Ready, AppError> {
        let mut connection = self.store().connection().await?;
        let record = identity_providers::find_anywhere(&mut connection, provider).await?;
        let record = record.ok_or_else(begin::disabled)?;
        recognise_provider(record.tenant, record.id, &record.name);
        if !record.enabled {
            return Err(begin::disabled().into());
        }
        self.ready(&mut connection, record).await
    }

    /// The provider that the address names: its tenant is shown what is refused from now on.
    async fn met(&self, provider: ProviderId) -> Result<ProviderRecord, AppError> {
        let mut connection = self.store().connection().await?;
        let record = identity_providers::find_anywhere(&mut connection, provider).await?;
        let record = record.ok_or_else(begin::disabled)?;
        recognise_provider(record.tenant, record.id, &record.name);
        Ok(record)
    }

    async fn use_attempt(
        &self,
        record: ProviderRecord,
        state: &str,
        binding: Option<&str>,
    ) -> Result<(UsedAttempt, Ready), AppError> {
        let mut connection = self.store().connection().await?;
        let hash = sha256(state.as_bytes());
        let key = &self.config().master_key;
        let attempt = sign_in_attempts::take(&mut connection, key, &hash, self.now())
            .await?
            .map_err(|why| AppError::from(unusable(why)).with_retry(&anew(record.id)))?;
        if binding.map(|binding| sha256(binding.as_bytes()).to_vec()) != Some(attempt.binding_hash.clone()) {
            let refused = SsoError::refused(
                "sign_in.other_browser",
                "this sign-in was begun in another browser, or too long ago",
            );
            return Err(AppError::from(refused).with_retry(&anew(record.id)));
        }
        if (attempt.tenant, attempt.provider) != (record.tenant, record.id) {
            return Err(SsoError::from(mismatched()).into());
        }
        if !record.enabled && !attempt.is_test {
            return Err(begin::disabled().into());
        }
        let ready = self.ready(&mut connection, record).await?;
        Ok((attempt, ready))
    }

    /// A believed identity becomes a session, in one transaction with what makes the proof good only once.
    async fn admit(
        &self,
        ready: &Ready,
        vouched: VouchedIdentity,
        once: Option<AssertionUse>,
        return_to: String,
    ) -> Result<Finished, AppError> {
        let mut tx = self.store().begin().await?;
        // It may have been disabled while we talked to it.
        if !identity_providers::hold_enabled(&mut tx, ready.record.tenant, ready.record.id).await? {
            return Err(begin::disabled().into());
        }
        if let Some(once) = once {
            let fresh = saml_assertions::insert(&mut tx, ready.record.id, &once.id, once.expires_at).await?;
            if !fresh {
                return Err(SsoError::refused("saml.replay", "this sign-in was used already").into());
            }
        }
        let (token, expires_at) = self.open_session(&mut tx, &ready.record, &vouched).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Finished::SignedIn {
            token,
            expires_at,
            return_to,
        })
    }
}

fn retry(attempt: &UsedAttempt) -> Retry {
    Retry {
        provider: attempt.provider,
        return_to: attempt.return_to.clone(),
    }
}

/// What is not known to be this browser's says nothing of where it wanted to go.
fn anew(provider: ProviderId) -> Retry {
    Retry {
        provider,
        return_to: String::new(),
    }
}

fn refused(refusal: Refusal, retry: &Retry) -> AppError {
    SsoError::Refused {
        refusal,
        retry: Some(retry.clone()),
    }
    .into()
}

fn unusable(why: Unusable) -> SsoError {
    match why {
        Unusable::Unknown => {
            SsoError::refused(UNKNOWN_STATE, "this sign-in was not begun here, or too long ago")
        }
        Unusable::Used => SsoError::refused("sign_in.replayed", "this sign-in was used already"),
        Unusable::Expired => SsoError::refused("sign_in.expired", "this sign-in took longer than 10 minutes"),
    }
}
