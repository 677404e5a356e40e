//! A sign-in on its way through the provider.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::Refusal;

/// What has to be remembered of a sign-in until the browser comes back. It is secret (store it encrypted, bound to the
/// browser) and good once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub state: String,
    pub nonce: String,
    /// PKCE (RFC 7636).
    pub verifier: String,
    pub issuer: String,
    pub client_id: String,
    pub redirect_uri: Url,
    pub begun_at: DateTime<Utc>,
}

/// Where to send the browser, and what to remember.
#[derive(Debug)]
pub struct Begun {
    pub url: Url,
    pub attempt: Attempt,
}

/// What the browser brought back from the provider: the query of the redirect address.
#[derive(Clone, Debug)]
pub struct Callback {
    pub(super) state: Option<String>,
    pub(super) answer: Answer,
    /// RFC 9207.
    pub(super) issuer: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Code(SecretString),
    /// The provider's error code (RFC 6749, section 4.1.2.1): hostile text, only ever compared.
    Error(String),
}

// === impl Attempt ===

impl fmt::Debug for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attempt")
            .field("issuer", &self.issuer)
            .field("begun_at", &self.begun_at)
            .finish_non_exhaustive()
    }
}

// === impl Callback ===

impl Callback {
    /// Reads the query of the redirect address.
    ///
    /// # Errors
    /// `oidc.callback_malformed` when a parameter is missing or comes twice.
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        let malformed = || {
            Refusal::new(
                "oidc.callback_malformed",
                "the provider sent you back with an address that makes no sense; sign in again",
            )
        };
        let once = |wanted: &str| {
            let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
            match (values.next(), values.next()) {
                (value, None) => Ok(value.map(|(_, value)| value.into_owned())),
                _ => Err(malformed()),
            }
        };
        let answer = match (once("code")?, once("error")?) {
            (Some(code), None) if !code.is_empty() => Answer::Code(code.into()),
            (None, Some(error)) => Answer::Error(error),
            _ => return Err(malformed()),
        };
        Ok(Self {
            state: once("state")?,
            answer,
            issuer: once("iss")?,
        })
    }

    /// By which the attempt is found.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}
