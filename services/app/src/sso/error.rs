//! What can be refused around identity providers, and how clients see it.

use std::time::Duration;

use thiserror::Error;
use updraft_api::Problem;
use updraft_model::ProviderId;
use updraft_sso::Refusal;

use crate::AppError;
use crate::error::{problem, sentence, whole_seconds};

#[derive(Debug, Error)]
pub enum SsoError {
    /// A proof was not believed, or a provider gave no answer. The code is stable: `oidc.wrong_nonce`.
    #[error("the sign-in was refused: {}", refusal.code)]
    Refused { refusal: Refusal, retry: Option<Retry> },
    #[error("too many sign-ins were begun")]
    TooMany { retry_after: Duration, retry: Retry },
    #[error("the tenant has an identity provider named `{name}`")]
    NameTaken { name: String },
    #[error("the identity provider `{name}` has this issuer")]
    IssuerTaken { name: String },
    #[error("the provider was not tested as it is")]
    NotTested,
    #[error("the provider failed its test")]
    TestFailed { why: String },
    #[error("nobody would be left who can sign in as an owner")]
    LastWayIn { what: &'static str },
    #[error("no owner has signed in through an enabled provider")]
    NoOwnerThere,
    #[error("the tenant claims `{domain}` already")]
    DomainClaimed { domain: String },
    #[error("another tenant has proven `{domain}`")]
    DomainTaken { domain: String },
    #[error("the domain is not proven")]
    DomainNotProven { why: String },
}

/// How to try a refused sign-in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    pub provider: ProviderId,
    /// As the browser asked for it: to be judged again.
    pub return_to: String,
}

// === impl SsoError ===

impl SsoError {
    pub(super) fn refused(code: &'static str, text: &'static str) -> Self {
        Self::Refused {
            refusal: Refusal::new(code, text),
            retry: None,
        }
    }

    /// How to try again, where that is another sign-in.
    #[must_use]
    pub fn retry(&self) -> Option<&Retry> {
        match self {
            Self::Refused { retry, .. } => retry.as_ref(),
            Self::TooMany { retry, .. } => Some(retry),
            _ => None,
        }
    }

    /// The stable word for the audit log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.code,
            Self::TooMany { .. } => "too-many-sign-ins",
            Self::NameTaken { .. } => "identity-provider-name-taken",
            Self::IssuerTaken { .. } => "issuer-taken",
            Self::NotTested => "provider-not-tested",
            Self::TestFailed { .. } => "provider-test-failed",
            Self::LastWayIn { .. } => "last-way-in",
            Self::NoOwnerThere => "no-owner-through-provider",
            Self::DomainClaimed { .. } => "domain-claimed",
            Self::DomainTaken { .. } => "domain-taken",
            Self::DomainNotProven { .. } => "domain-not-proven",
        }
    }
}

/// The identity provider's fault, or that of the way to it. Whatever it does, we did not fail: it is never answered with a 5xx.
fn gave_no_answer(code: &str) -> bool {
    matches!(
        code,
        "oidc.unreachable"
            | "oidc.slow"
            | "oidc.tls"
            | "oidc.provider_failing"
            | "oidc.unexpected_answer"
            | "oidc.too_large"
            | "oidc.redirected"
    )
}

impl AppError {
    /// A refused sign-in can be tried again from where it began.
    pub(super) fn with_retry(self, retry: &Retry) -> Self {
        match self {
            Self::Sso(SsoError::Refused { refusal, retry: None }) => Self::Sso(SsoError::Refused {
                refusal,
                retry: Some(retry.clone()),
            }),
            other => other,
        }
    }
}

impl From<Refusal> for SsoError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal, retry: None }
    }
}

impl From<&SsoError> for Problem {
    fn from(error: &SsoError) -> Self {
        use SsoError as E;
        let code = error.code();
        match error {
            E::Refused { refusal, .. } if gave_no_answer(code) => problem(
                424,
                code,
                sentence(&refusal.text),
                "Try again in a minute; if it stays, tell whoever runs your organisation's identity provider.",
            ),
            E::Refused { refusal, .. } => problem(
                403,
                code,
                sentence(&refusal.text),
                "Sign in again; if it stays, tell an owner of your organisation and quote the reference.",
            ),
            E::TooMany { retry_after, .. } => problem(
                429,
                code,
                "Too many sign-ins were begun at once, from your network or through your organisation's identity provider.",
                format!("Wait {} seconds and try again.", whole_seconds(*retry_after)),
            ),
            E::NameTaken { name } => Self {
                field: Some("name".to_owned()),
                ..problem(
                    409,
                    code,
                    format!("Your organisation already has an identity provider named `{name}`."),
                    "Choose another name.",
                )
            },
            E::IssuerTaken { name } => Self {
                field: Some("config".to_owned()),
                ..problem(
                    409,
                    code,
                    format!("The identity provider `{name}` already has this issuer."),
                    "Change that one instead: who somebody is depends on the issuer.",
                )
            },
            E::NotTested => problem(
                409,
                code,
                "The identity provider was not tested as it is now.",
                "Test it, then enable it.",
            ),
            E::TestFailed { why } => problem(
                409,
                code,
                "The identity provider fails its test, so nothing was changed.",
                sentence(why),
            ),
            E::LastWayIn { what } => problem(
                409,
                code,
                format!("{what} would lock every owner of your organisation out: there is no other way in."),
                "Allow passwords, or sign in through another enabled identity provider as an owner, first.",
            ),
            E::NoOwnerThere => problem(
                409,
                code,
                "Nobody could change this back: no owner has signed in through an enabled identity provider yet.",
                "Sign in through the provider, have an owner make that person an owner, and try again.",
            ),
            E::DomainClaimed { domain } => Self {
                field: Some("domain".to_owned()),
                ..problem(
                    409,
                    code,
                    format!("Your organisation already has the domain `{domain}`."),
                    "Look at it in the list of domains.",
                )
            },
            E::DomainTaken { domain } => problem(
                409,
                code,
                format!("The domain `{domain}` is proven by another organisation."),
                "Have that one remove it; if nobody knows of it, ask the operator.",
            ),
            E::DomainNotProven { why } => problem(409, code, "The domain is not proven yet.", sentence(why)),
        }
    }
}
