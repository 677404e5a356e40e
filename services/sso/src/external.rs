//! What an identity provider outside says of a person, whichever protocol it speaks.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use thiserror::Error;

/// Someone a tenant's provider vouched for, all of it verified. Who that is here, `app` decides: by (tenant, issuer,
/// subject), never by the address.
#[derive(Clone, Debug)]
pub struct VouchedIdentity {
    /// OIDC issuer or SAML entity id.
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
    /// OIDC's `email_verified`; SAML providers speak for their own directory.
    pub email_verified: bool,
    pub name: Option<String>,
    /// How the person is called at the provider: `preferred_username`, or the NameID.
    pub user_name: Option<String>,
    /// What the provider calls the person in its directory for ever: Entra's `oid`, else the subject.
    pub directory_id: String,
    pub groups: Vec<String>,
    /// Google's `hd`.
    pub hosted_domain: Option<String>,
    /// OIDC `sid` or SAML SessionIndex: what the provider calls this sign-in when it ends it.
    pub provider_session: Option<String>,
    /// To end the session at the provider.
    pub id_token: Option<SecretString>,
    /// To ask now and then whether all this is still so.
    pub refresh_token: Option<SecretString>,
    /// The provider wants no session to last longer.
    pub session_until: Option<DateTime<Utc>>,
}

/// Why a proof was not believed. The code is a stable word for the audit log and for tests; the text is for people and
/// repeats nothing that the browser sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text}")]
pub struct Refusal {
    /// For example `oidc.wrong_nonce`, `saml.unsigned`.
    pub code: &'static str,
    pub text: String,
}

/// One line of "test this connection".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// For example `discovery`, `clock`, `certificate`.
    pub name: &'static str,
    pub outcome: CheckOutcome,
    /// What was found and, unless it is good, what to do.
    pub text: String,
    /// The code of what was refused, where something was.
    pub why: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    Good,
    Warning,
    Bad,
}

// === impl Refusal ===

impl Refusal {
    #[must_use]
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

// === impl Check ===

impl Check {
    #[must_use]
    pub fn good(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, CheckOutcome::Good, text)
    }

    #[must_use]
    pub fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, CheckOutcome::Warning, text)
    }

    #[must_use]
    pub fn bad(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, CheckOutcome::Bad, text)
    }

    #[must_use]
    pub fn refused(name: &'static str, refusal: Refusal) -> Self {
        Self {
            why: Some(refusal.code),
            ..Self::bad(name, refusal.text)
        }
    }

    #[must_use]
    pub fn new(name: &'static str, outcome: CheckOutcome, text: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            text: text.into(),
            why: None,
        }
    }
}
