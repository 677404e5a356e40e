//! What was recorded of real providers (`tests/e2e/idp/saml_idp.py record`), and a pen to change it with: their own keys.

use std::collections::HashMap;
use std::sync::LazyLock;

use bergshamra_dsig::{DsigContext, sign::sign};
use bergshamra_keys::loader::load_rsa_private_pem;
use bergshamra_keys::{Key, KeysManager};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;
use updraft_sso::saml::SpKey;

use super::surgery::blank;

/// Whom the recorded responses are for, and what they answer.
pub const SP: &str = "https://updraft.example.com/api/v1/sso/saml/metadata";
pub const ACS: &str = "https://updraft.example.com/api/v1/sso/saml/acs";
pub const SLO: &str = "https://updraft.example.com/api/v1/sso/saml/slo";
pub const IDP: &str = "https://idp.example.com/metadata";
pub const REQUEST: &str = "_5f2b9c0d7a6e41c3b8d4e0f1a2b3c4d5e6f70819";

/// Of pysaml2 with xmlsec1.
pub static RECORDED: LazyLock<Recorded> =
    LazyLock::new(|| serde_json::from_str(include_str!("recorded.json")).unwrap());

/// Of SimpleSAMLphp, which began by itself.
pub static SECOND: LazyLock<Recorded> =
    LazyLock::new(|| serde_json::from_str(include_str!("recorded_simplesamlphp.json")).unwrap());

#[derive(Deserialize)]
pub struct Recorded {
    pub at: DateTime<Utc>,
    pub responses: HashMap<String, String>,
    pub idp_metadata: String,
    #[serde(default)]
    pub logout_request: String,
    sp_secret: String,
    #[serde(default)]
    first_secret: String,
    #[serde(default)]
    attacker_secret: String,
}

// === impl Recorded ===

impl Recorded {
    /// The key that we had then.
    #[must_use]
    pub fn sp_key(&self) -> SpKey {
        SpKey::from_secret(&SecretString::from(self.sp_secret.clone())).unwrap()
    }
}

/// The response of this kind, as the provider sent it.
#[must_use]
pub fn recorded(kind: &str) -> String {
    RECORDED.responses[kind].clone()
}

/// Signs anew, with the provider's own key, the response's one signature.
#[must_use]
pub fn signed_again(response: &str) -> String {
    signed_by(response, &RECORDED.first_secret)
}

/// As [`signed_again`], with the key of somebody who is not the provider but calls themselves so.
#[must_use]
pub fn signed_by_attacker(response: &str) -> String {
    signed_by(response, &RECORDED.attacker_secret)
}

#[must_use]
pub fn attackers_certificate() -> String {
    certificate(&RECORDED.attacker_secret)
}

#[must_use]
pub fn attackers_key() -> SpKey {
    SpKey::from_secret(&SecretString::from(RECORDED.attacker_secret.clone())).unwrap()
}

#[must_use]
pub fn sp_certificate() -> String {
    certificate(&RECORDED.sp_secret)
}

/// The template's one signature, filled in.
#[must_use]
pub fn signed_with(response: &str, key: Key) -> String {
    let mut keys = KeysManager::new();
    keys.add_key(key);
    let context = DsigContext::new_permissive(keys);
    let template = blank(&blank(response, "DigestValue"), "SignatureValue");
    sign(&context, &template).unwrap()
}

/// The provider's private key, in PEM.
pub(super) fn providers_key() -> &'static str {
    private(&RECORDED.first_secret)
}

fn certificate(secret: &str) -> String {
    let (certificate, _) = secret.split_once("-----BEGIN PRIVATE KEY-----").unwrap();
    certificate.to_owned()
}

fn private(secret: &str) -> &str {
    &secret[secret.find("-----BEGIN PRIVATE KEY-----").unwrap()..]
}

fn signed_by(response: &str, secret: &str) -> String {
    signed_with(
        response,
        load_rsa_private_pem(private(secret).as_bytes()).unwrap(),
    )
}
