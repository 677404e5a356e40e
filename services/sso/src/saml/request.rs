//! Requests of our own: authentication. Their ids can't be guessed.

use chrono::{DateTime, Utc};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use updraft_model::SamlConfig;

use super::xml::{ASSERTION, PROTOCOL, escape};
use super::{Attempt, Begun, ServiceProvider, redirect, time};
use crate::Refusal;

const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
/// SAML Bindings 3.4.3.
const LONGEST_RELAY_STATE: usize = 80;

/// Where to send the browser to sign in. `relay_state` (at most 80 bytes) comes back beside the response.
///
/// # Errors
/// The relay state is too long, there is no randomness, or our key cannot sign.
pub fn begin(
    config: &SamlConfig,
    sp: &ServiceProvider,
    relay_state: &str,
    now: DateTime<Utc>,
) -> Result<Begun, Refusal> {
    if relay_state.len() > LONGEST_RELAY_STATE {
        return Err(Refusal::new(
            "saml.relay_state",
            "The relay state is longer than 80 bytes.",
        ));
    }
    let request_id = new_id()?;
    // No NameIDPolicy format: a provider that lacks the one asked for refuses altogether.
    let request = format!(
        r#"<samlp:AuthnRequest xmlns:samlp="{PROTOCOL}" xmlns:saml="{ASSERTION}" ID="{request_id}" Version="2.0" IssueInstant="{}" Destination="{}" AssertionConsumerServiceURL="{}" ProtocolBinding="{POST}"><saml:Issuer>{}</saml:Issuer><samlp:NameIDPolicy AllowCreate="true"/></samlp:AuthnRequest>"#,
        time::write(now),
        escape(&config.sso_url),
        escape(&sp.acs_url),
        escape(&sp.entity_id),
    );
    let url = redirect::url(
        &config.sso_url,
        "SAMLRequest",
        &request,
        Some(relay_state),
        &sp.key,
    )?;
    Ok(Begun {
        url,
        attempt: Attempt { request_id },
    })
}

/// 160 random bits; an XML name may not begin with a digit.
pub(super) fn new_id() -> Result<String, Refusal> {
    let mut bytes = [0_u8; 20];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| Refusal::new("saml.randomness", "There is no randomness on this machine."))?;
    Ok(bytes
        .iter()
        .fold("_".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}
