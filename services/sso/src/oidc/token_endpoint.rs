//! The token endpoint: codes and refresh tokens for tokens (RFC 6749, sections 4.1.3 and 6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use updraft_model::OidcConfig;

use super::document::Document;
use super::refusals::{failing, setting, unasked, unexpected};
use crate::Refusal;
use crate::outbound::{Outbound, OutboundError, OutboundRequest, OutboundResponse};

#[derive(Debug, Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: SecretString,
    pub(super) id_token: Option<SecretString>,
    pub(super) refresh_token: Option<SecretString>,
}

/// What the endpoint said, where it said something that OAuth knows.
#[derive(Debug)]
pub(super) enum Answer {
    Tokens(Tokens),
    /// `invalid_grant`: this code or refresh token is good for nothing.
    GrantRefused,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

const WHAT: &str = "token endpoint";

/// # Errors
/// When the endpoint cannot be asked, does not take our client, or does not speak OAuth.
pub(super) async fn ask(
    outbound: &Outbound,
    config: &OidcConfig,
    secret: Option<&SecretString>,
    document: &Document,
    grant: &[(&str, &str)],
) -> Result<Answer, Refusal> {
    let request = request(config, secret, document, grant).map_err(unasked)?;
    let answer = outbound.fetch(request).await.map_err(unasked)?;
    match answer.status.as_u16() {
        200 => answer.json().map(Answer::Tokens).map_err(|_| unexpected(WHAT)),
        400 | 401 | 403 => refused(&answer),
        500.. => Err(failing(WHAT)),
        _ => Err(unexpected(WHAT)),
    }
}

fn request(
    config: &OidcConfig,
    secret: Option<&SecretString>,
    document: &Document,
    grant: &[(&str, &str)],
) -> Result<OutboundRequest, OutboundError> {
    let url = document.token_endpoint.clone();
    let in_body = document.takes_secret_in_body();
    let mut form = grant.to_vec();
    if secret.is_none() || in_body {
        form.push(("client_id", &config.client_id));
    }
    match secret {
        Some(secret) if in_body => {
            form.push(("client_secret", secret.expose_secret()));
            OutboundRequest::post_form(url, &form)
        }
        Some(secret) => {
            let basic = basic(&config.client_id, secret)?;
            Ok(OutboundRequest::post_form(url, &form)?.with_header(header::AUTHORIZATION, basic))
        }
        None => OutboundRequest::post_form(url, &form),
    }
}

/// Left as they are. With `%20` rather than `+` for a space, since there are providers that decode the one and not the other.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// RFC 6749, section 2.3.1: each part form-encoded, then both in Base64.
fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, OutboundError> {
    let encode = |text| utf8_percent_encode(text, PLAIN);
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| OutboundError::Broken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn refused(answer: &OutboundResponse) -> Result<Answer, Refusal> {
    let body: ErrorBody = answer.json().map_err(|_| unexpected(WHAT))?;
    match body.error.as_str() {
        "invalid_grant" => Ok(Answer::GrantRefused),
        "invalid_client" => Err(setting(
            "oidc.client_refused",
            "the identity provider does not accept Updraft's client id and secret; enter them again as the provider shows them",
        )),
        "unauthorized_client" | "unsupported_grant_type" => Err(setting(
            "oidc.grant_not_allowed",
            "the identity provider does not let this client sign people in with an authorization code; allow it there",
        )),
        _ => Err(setting(
            "oidc.token_request_refused",
            "the identity provider refused to complete the sign-in; its own log says why",
        )),
    }
}
