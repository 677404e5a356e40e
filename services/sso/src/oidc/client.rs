//! The relying party.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use updraft_model::OidcConfig;
use url::Url;

use super::{Attempt, Begun, Callback, LogoutToken, Refreshed};
use crate::outbound::Outbound;
use crate::{Check, Refusal, VouchedIdentity};

/// Signs people in through their tenant's provider. Cheap to clone; clones share what was discovered.
#[derive(Clone, Debug)]
pub struct Oidc {
    outbound: Outbound,
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
        Self { outbound }
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
        let _ = (config, redirect_uri, hint, now);
        Err(unavailable())
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
        let _ = (config, secret, attempt, callback, now);
        Err(unavailable())
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
        Explained {
            checks: Vec::new(),
            identity: self.finish(config, secret, attempt, callback, now).await,
        }
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
        let _ = (config, secret, subject, refresh_token, now);
        Err(unavailable())
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
        let _ = (config, id_token, return_to, state);
        Err(unavailable())
    }

    /// Verifies a back-channel logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6).
    ///
    /// # Errors
    /// A refusal with a code that begins with `oidc.logout_` or names what is wrong with the token.
    pub async fn verify_logout_token(
        &self,
        config: &OidcConfig,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<LogoutToken, Refusal> {
        let _ = (config, token, now);
        Err(unavailable())
    }

    /// "Test this connection": all that can be known without a person signing in.
    pub async fn test(
        &self,
        config: &OidcConfig,
        secret: Option<&SecretString>,
        redirect_uri: &Url,
        now: DateTime<Utc>,
    ) -> Vec<Check> {
        let _ = (config, secret, redirect_uri, now);
        Vec::new()
    }
}

fn unavailable() -> Refusal {
    Refusal::new(
        "oidc.unavailable",
        "sign-in through a provider is not available yet",
    )
}
