//! The end of a session there and here: begun by us (everywhere) or by the provider (back-channel, SAML single logout).

use chrono::TimeDelta;
use serde_json::json;
use updraft_authz::Actor;
use updraft_model::ProviderId;
use updraft_sso::saml::{self, LogoutMessage, LogoutSubject};
use updraft_sso::{oidc, random_code};
use updraft_store::identity_providers;
use updraft_store::provider_sessions::{self, Vouched};
use updraft_store::{PgConnection, StoreError};

use super::protocol::{Ready, Speaks, mismatched};
use super::providers::target;
use super::{SsoError, addresses};
use crate::audit::{Attempt, By, Change, attempt};
use crate::{App, AppError, access};

/// How far a provider's clock may be before ours: a session that began so little after its logout token is meant too.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);

/// What to do with a browser that a SAML provider sent to our logout address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SamlLogout {
    /// Sessions were ended; the provider wants the browser back there.
    Answer(Option<String>),
    /// The provider has ended what we asked it to.
    Done,
}

impl App {
    /// Ends all sessions of this person in this tenant. Where to send the browser so that the provider ends its own too,
    /// if it can.
    ///
    /// # Errors
    /// [`AppError::NeedsSession`].
    pub async fn sign_out_everywhere(&self, actor: &Actor) -> Result<Option<String>, AppError> {
        let attempt = attempt("sign_out.everywhere");
        let session = access::session(actor, "sign out everywhere")?;
        let vouched = {
            let mut tx = self.store().begin().await?;
            let key = &self.config().master_key;
            let vouched = provider_sessions::find(&mut tx, key, actor.tenant, session).await?;
            let ended =
                provider_sessions::revoke_all_of(&mut tx, actor.tenant, actor.user, self.now()).await?;
            attempt
                .done(&mut tx, actor, Change::made(json!({"sessions_ended": ended})))
                .await?;
            tx.commit().await.map_err(StoreError::from)?;
            vouched
        };
        match vouched {
            Some(vouched) => self.logout_there(actor, vouched).await,
            None => Ok(None),
        }
    }

    /// The sessions here have ended; a provider that cannot be asked changes nothing of that.
    async fn logout_there(&self, actor: &Actor, vouched: Vouched) -> Result<Option<String>, AppError> {
        let ready = {
            let mut connection = self.store().connection().await?;
            let found = identity_providers::find(&mut connection, actor.tenant, vouched.provider).await?;
            let Some(record) = found else {
                return Ok(None);
            };
            self.ready(&mut connection, record).await?
        };
        let to = match &ready.speaks {
            Speaks::Oidc { config, .. } => {
                let back = addresses::after_logout(self.config())?;
                let url = self
                    .oidc()
                    .logout_url(config, vouched.id_token.as_ref(), &back, None)
                    .await;
                url.map(|url| url.map(String::from))
            }
            Speaks::Saml { config, sp } => {
                let subject = LogoutSubject {
                    subject: vouched.subject.unwrap_or_default(),
                    name_id: vouched.id_token,
                    provider_session: vouched.session,
                };
                saml::logout_request(config, sp, &subject, &random_code(), self.now())
                    .map(|begun| begun.map(|begun| begun.url))
            }
        };
        Ok(to.unwrap_or_else(|refusal| {
            tracing::info!(refusal.code, provider.id = %ready.record.id, "The provider's own session was not ended");
            None
        }))
    }

    /// OpenID Connect Back-Channel Logout 1.0: the provider says that a sign-in, or a person, has ended.
    ///
    /// # Errors
    /// [`SsoError::Refused`].
    pub async fn end_by_oidc_provider(&self, provider: ProviderId, token: &str) -> Result<(), AppError> {
        let attempt = attempt("sign_out.provider");
        let ready = self.enabled(provider).await?;
        let Speaks::Oidc { config, .. } = &ready.speaks else {
            return Err(SsoError::from(mismatched()).into());
        };
        let now = self.now();
        let asked: oidc::LogoutToken = self
            .oidc()
            .verify_logout_token(config, token, now)
            .await
            .map_err(SsoError::from)?;
        let mut tx = self.store().begin().await?;
        let (subject, session) = (asked.subject.as_deref(), asked.session.as_deref());
        let until = asked.issued_at + CLOCK_SKEW;
        let ended = provider_sessions::revoke(&mut tx, provider, subject, session, until, now).await?;
        ended_by_provider(attempt, &mut tx, &ready, ended).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// SAML single logout: `query` is the query string, byte for byte.
    ///
    /// # Errors
    /// [`SsoError::Refused`].
    pub async fn end_by_saml_provider(
        &self,
        provider: ProviderId,
        query: &str,
    ) -> Result<SamlLogout, AppError> {
        let attempt = attempt("sign_out.provider");
        let ready = self.enabled(provider).await?;
        let Speaks::Saml { config, sp } = &ready.speaks else {
            return Err(SsoError::from(mismatched()).into());
        };
        let now = self.now();
        let request = match saml::verify_logout(config, sp, query, now).map_err(SsoError::from)? {
            LogoutMessage::Response { .. } => return Ok(SamlLogout::Done),
            LogoutMessage::Request(request) => request,
        };
        let mut tx = self.store().begin().await?;
        let subject = Some(request.subject.as_str());
        let mut sessions: Vec<_> = request
            .sessions
            .iter()
            .map(|session| Some(session.as_str()))
            .collect();
        if sessions.is_empty() {
            sessions.push(None);
        }
        let mut ended = 0;
        for session in sessions {
            ended += provider_sessions::revoke(&mut tx, provider, subject, session, now, now).await?;
        }
        ended_by_provider(attempt, &mut tx, &ready, ended).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let answer = saml::logout_response(config, sp, &request, now).map_err(SsoError::from)?;
        Ok(SamlLogout::Answer(answer))
    }

    /// What to give to a SAML provider: public, as any metadata.
    ///
    /// # Errors
    /// [`SsoError::Refused`] when there is no such SAML provider.
    pub async fn saml_metadata(&self, provider: ProviderId) -> Result<String, AppError> {
        let ready = {
            let mut connection = self.store().connection().await?;
            let found = identity_providers::find_anywhere(&mut connection, provider).await?;
            let record = found.ok_or_else(super::begin::disabled)?;
            self.ready(&mut connection, record).await?
        };
        match ready {
            Ready {
                speaks: Speaks::Saml { sp, .. },
                ..
            } => Ok(saml::metadata(&sp)),
            Ready { .. } => Err(super::begin::disabled().into()),
        }
    }
}

async fn ended_by_provider(
    attempt: Attempt,
    tx: &mut PgConnection,
    ready: &Ready,
    ended: u64,
) -> Result<(), AppError> {
    let by = By::provider(ready.record.tenant, ready.record.id, &ready.record.name);
    let change = Change::made(json!({"sessions_ended": ended}));
    attempt.on(target(&ready.record)).done(tx, by, change).await
}
