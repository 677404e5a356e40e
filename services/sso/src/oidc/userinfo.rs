//! Userinfo (OpenID Connect Core 1.0, section 5.3): what the ID token left out.

use http::{HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::claims::Claims;
use super::refusals::{failing, proof, unasked, unexpected};
use crate::Refusal;
use crate::outbound::{Outbound, OutboundError, OutboundRequest};

const WHAT: &str = "userinfo endpoint";

/// # Errors
/// When it cannot be had, or is about another person.
pub(super) async fn ask(
    outbound: &Outbound,
    url: &Url,
    access_token: &SecretString,
    subject: &str,
) -> Result<Claims, Refusal> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose_secret()))
        .map_err(|_| unasked(OutboundError::Broken))?;
    bearer.set_sensitive(true);
    let request = OutboundRequest::get(url.clone())
        .without_redirects()
        .with_header(header::AUTHORIZATION, bearer);
    let answer = outbound.fetch(request).await.map_err(unasked)?;
    let claims = match answer.status.as_u16() {
        200 => answer.json().map(Claims).map_err(|_| unexpected(WHAT))?,
        500.. => return Err(failing(WHAT)),
        _ => return Err(unexpected(WHAT)),
    };
    if claims.text("sub") != Some(subject) {
        return Err(proof(
            "oidc.userinfo_of_another",
            "what it says is about another person",
        ));
    }
    Ok(claims)
}
