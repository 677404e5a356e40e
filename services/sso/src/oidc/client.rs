//! The relying party.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use updraft_model::OidcConfig;
use url::Url;

use super::directory::Directory;
use super::finish::Finish;
use super::refresh::Known;
use super::{Attempt, Begun, Callback, LogoutToken, Refreshed, authorize, checks, explain, logout, refusals};
use crate::outbound::Outbound;
use crate::{Check, Refusal, VouchedIdentity};

/// For all requests of one call together, so that a slow provider costs a person's patience and nothing else.
pub(super) const LONGEST: Duration = Duration::from_secs(15);

/// Signs people in through their tenant's provider. Cheap to clone; clones share what was discovered.
#[derive(Clone, Debug)]
pub struct Oidc {
    directory: Directory,
}

/// What a test sign-in brought.
#[derive(Debug)]
pub struct Explained {
    /// Which claims came, which are missing, and what to do.
    pub checks: Vec<Check>,
    pub identity: Result<VouchedIdentity, Refusal>,
}

// === impl Oidc ===

impl Oidc {
    #[must_use]
    pub fn new(outbound: Outbound) -> Self {
        Self {
            directory: Directory::new(outbound),
        }
    }

    /// Begins a sign-in. The redirect address has to be this provider's own (not shared with another provider), and is
    /// asked for again when the browser comes back. `hint` is the address that the person typed, if any.
    ///
    /// # Errors
    /// When the provider cannot be discovered.
    pub async fn begin(
        &self,
        config: &OidcConfig,
        redirect_uri: &Url,
        hint: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Begun, Refusal> {
        let document = bounded(self.directory.document(config)).await?;
        Ok(authorize::begin(config, &document, redirect_uri, hint, now))
    }

    /// Trades what the browser brought for an identity. The attempt is the one that this browser began, and is used up
    /// whatever comes out.
    ///
    /// # Errors
    /// A refusal with a code that begins with `oidc.`.
    pub async fn finish(
        &self,
        config: &OidcConfig,
        secret: Option<&SecretString>,
        attempt: &Attempt,
        callback: &Callback,
        now: DateTime<Utc>,
    ) -> Result<VouchedIdentity, Refusal> {
        let finish = Finish {
            config,
            secret,
            attempt,
            callback,
            now,
        };
        bounded(finish.run(&self.directory))
            .await
            .map(|(identity, _)| identity)
    }

    /// [`Self::finish`], and what of it is good, missing or wrong, for whoever sets the provider up.
    pub async fn explain(
        &self,
        config: &OidcConfig,
        secret: Option<&SecretString>,
        attempt: &Attempt,
        callback: &Callback,
        now: DateTime<Utc>,
    ) -> Explained {
        let finish = Finish {
            config,
            secret,
            attempt,
            callback,
            now,
        };
        explain::explain(config, bounded(finish.run(&self.directory)).await)
    }

    /// Asks the provider again about a person.
    ///
    /// # Errors
    /// When no answer could be had, which says nothing of the person: ask again later.
    pub async fn refresh(
        &self,
        config: &OidcConfig,
        secret: Option<&SecretString>,
        subject: &str,
        refresh_token: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Refreshed, Refusal> {
        let known = Known {
            config,
            secret,
            subject,
            refresh_token,
            now,
        };
        bounded(known.ask(&self.directory)).await
    }

    /// Where to send a browser to end the session at the provider too. None: this provider offers no such place.
    ///
    /// # Errors
    /// When the provider cannot be discovered.
    pub async fn logout_url(
        &self,
        config: &OidcConfig,
        id_token: Option<&SecretString>,
        return_to: &Url,
        state: Option<&str>,
    ) -> Result<Option<Url>, Refusal> {
        let document = bounded(self.directory.document(config)).await?;
        let place = document.end_session_endpoint.clone();
        Ok(place.map(|place| logout::url(place, config, id_token, return_to, state)))
    }

    /// Verifies a back-channel logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6).
    ///
    /// # Errors
    /// A refusal with a code that begins with `oidc.`.
    pub async fn verify_logout_token(
        &self,
        config: &OidcConfig,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<LogoutToken, Refusal> {
        bounded(logout::verify(&self.directory, config, token, now)).await
    }

    /// "Test this connection": all that can be known without a person signing in. Takes no time over 15 s.
    pub async fn test(
        &self,
        config: &OidcConfig,
        secret: Option<&SecretString>,
        redirect_uri: &Url,
        now: DateTime<Utc>,
    ) -> Vec<Check> {
        checks::run(&self.directory, config, secret, redirect_uri, now).await
    }
}

async fn bounded<T>(asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(LONGEST, asked)
        .await
        .unwrap_or_else(|_| Err(refusals::slow()))
}
