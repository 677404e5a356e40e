//! Why a sign-in was refused, in words for the person in front of the browser.
//!
//! Nothing that the browser or the provider sent is repeated: whoever can make a person follow a link could write the text.

use crate::Refusal;
use crate::outbound::OutboundError;

pub(super) fn unasked(error: OutboundError) -> Refusal {
    let code = match error {
        OutboundError::Url | OutboundError::Port | OutboundError::Forbidden => "oidc.forbidden_address",
        OutboundError::UnknownHost | OutboundError::Unreachable => "oidc.unreachable",
        OutboundError::Tls | OutboundError::Authority => "oidc.tls",
        OutboundError::Slow => "oidc.slow",
        OutboundError::Broken | OutboundError::Compressed => "oidc.unexpected_answer",
        OutboundError::TooLarge => "oidc.too_large",
        OutboundError::Redirect => "oidc.redirected",
    };
    Refusal::new(code, format!("the identity provider could not be asked: {error}"))
}

pub(super) fn slow() -> Refusal {
    unasked(OutboundError::Slow)
}

pub(super) fn failing(what: &str) -> Refusal {
    Refusal::new(
        "oidc.provider_failing",
        format!(
            "the identity provider's {what} reports an error of its own; try again later, or ask who runs it"
        ),
    )
}

pub(super) fn unexpected(what: &str) -> Refusal {
    Refusal::new(
        "oidc.unexpected_answer",
        format!(
            "the identity provider's {what} did not answer as OpenID Connect demands; check the issuer's address"
        ),
    )
}

/// For what only an attack or a provider's fault can bring about.
pub(super) fn proof(code: &'static str, what: &str) -> Refusal {
    Refusal::new(
        code,
        format!(
            "the identity provider's proof was not accepted: {what}. Sign in again; if it happens twice, tell your administrator"
        ),
    )
}

/// For what the person can mend by beginning again.
pub(super) fn again(code: &'static str, what: &str) -> Refusal {
    Refusal::new(code, format!("{what}; sign in again"))
}

/// For what whoever set the provider up can mend.
pub(super) fn setting(code: &'static str, what: &str) -> Refusal {
    Refusal::new(code, what)
}

pub(super) fn clock(code: &'static str, what: &str) -> Refusal {
    Refusal::new(
        code,
        format!(
            "{what}: the clocks of Updraft and of the identity provider differ by more than a minute; tell your administrator"
        ),
    )
}
