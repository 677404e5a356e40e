//! Where the browser is sent to sign in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use updraft_model::{OidcConfig, OidcPreset};
use url::Url;

use super::document::Document;
use super::{Attempt, Begun};
use crate::{random_code, sha256};

const ALWAYS: [&str; 3] = ["openid", "email", "profile"];

pub(super) fn begin(
    config: &OidcConfig,
    document: &Document,
    redirect_uri: &Url,
    hint: Option<&str>,
    now: DateTime<Utc>,
) -> Begun {
    let attempt = Attempt {
        state: random_code(),
        nonce: random_code(),
        verifier: random_code(),
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        redirect_uri: redirect_uri.clone(),
        begun_at: now,
    };
    let challenge = URL_SAFE_NO_PAD.encode(sha256(attempt.verifier.as_bytes()));
    let mut url = document.authorization_endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.client_id)
        .append_pair("redirect_uri", redirect_uri.as_str())
        .append_pair("scope", &scopes(config, document).join(" "))
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(own_parameters(config))
        .extend_pairs(hint.map(|hint| ("login_hint", hint)));
    Begun { url, attempt }
}

/// With `offline_access` where it brings a refresh token, which is how changes of groups are noticed. Keycloak gives one
/// without, and one that ends with the person's session; Google has a parameter of its own.
fn scopes<'a>(config: &'a OidcConfig, document: &Document) -> Vec<&'a str> {
    let offline = match config.preset {
        OidcPreset::Okta | OidcPreset::Entra => true,
        OidcPreset::Generic => document.offers_scope("offline_access"),
        OidcPreset::Google | OidcPreset::Keycloak => false,
    };
    let mut scopes: Vec<&str> = ALWAYS.to_vec();
    for scope in config
        .scopes
        .iter()
        .map(String::as_str)
        .chain(offline.then_some("offline_access"))
    {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

fn own_parameters(config: &OidcConfig) -> Vec<(&'static str, &str)> {
    match (config.preset, config.hosted_domains.as_slice()) {
        (OidcPreset::Google, []) => vec![("access_type", "offline")],
        (OidcPreset::Google, [one]) => vec![("access_type", "offline"), ("hd", one)],
        (OidcPreset::Google, _) => vec![("access_type", "offline"), ("hd", "*")],
        (OidcPreset::Generic | OidcPreset::Okta | OidcPreset::Entra | OidcPreset::Keycloak, _) => Vec::new(),
    }
}
