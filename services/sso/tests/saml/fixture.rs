//! What was recorded, and a pen to change it with: the provider's own key.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_dsig::{DsigContext, sign::sign};
use bergshamra_keys::loader::{load_ec_p256_private_pem, load_rsa_private_pem};
use bergshamra_keys::{Key, KeysManager};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use secrecy::SecretString;
use serde::Deserialize;
use updraft_model::SamlConfig;
use updraft_sso::saml::{AssertionUse, Attempt, ServiceProvider, SpKey, finish, read_metadata};
use updraft_sso::{Refusal, VouchedIdentity};

use crate::surgery::{blank, replace};

pub(crate) const SP: &str = "https://updraft.example.com/api/v1/sso/saml/metadata";
pub(crate) const ACS: &str = "https://updraft.example.com/api/v1/sso/saml/acs";
pub(crate) const SLO: &str = "https://updraft.example.com/api/v1/sso/saml/slo";
pub(crate) const IDP: &str = "https://idp.example.com/metadata";
pub(crate) const REQUEST: &str = "_5f2b9c0d7a6e41c3b8d4e0f1a2b3c4d5e6f70819";

pub(crate) static RECORDED: LazyLock<Recorded> =
    LazyLock::new(|| serde_json::from_str(include_str!("recorded.json")).unwrap());

/// Of SimpleSAMLphp, which began by itself.
pub(crate) static SECOND: LazyLock<Recorded> =
    LazyLock::new(|| serde_json::from_str(include_str!("recorded_simplesamlphp.json")).unwrap());

#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) at: DateTime<Utc>,
    pub(crate) responses: HashMap<String, String>,
    pub(crate) idp_metadata: String,
    #[serde(default)]
    pub(crate) logout_request: String,
    sp_secret: String,
    #[serde(default)]
    first_secret: String,
    #[serde(default)]
    attacker_secret: String,
}

/// One attempt to sign in: everything right unless a test says otherwise.
pub(crate) struct Situation {
    pub(crate) config: SamlConfig,
    pub(crate) sp: ServiceProvider,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) now: DateTime<Utc>,
}

pub(crate) type Finished = Result<(VouchedIdentity, AssertionUse), Refusal>;

/// The response of this kind, as the provider sent it.
pub(crate) fn recorded(kind: &str) -> String {
    RECORDED.responses[kind].clone()
}

/// Signs anew, with the provider's own key, the response's one signature.
pub(crate) fn signed_again(response: &str) -> String {
    signed_by(response, &RECORDED.first_secret)
}

/// As [`signed_again`], with the key of somebody who is not the provider but calls themselves so.
pub(crate) fn signed_by_attacker(response: &str) -> String {
    signed_by(response, &RECORDED.attacker_secret)
}

pub(crate) fn attackers_certificate() -> String {
    certificate(&RECORDED.attacker_secret)
}

pub(crate) fn sp_certificate() -> String {
    certificate(&RECORDED.sp_secret)
}

pub(crate) fn attackers_key() -> SpKey {
    SpKey::from_secret(&SecretString::from(RECORDED.attacker_secret.clone())).unwrap()
}

pub(crate) fn encode(response: &str) -> String {
    STANDARD.encode(response)
}

/// A provider's key on a curve, whose certificate expires with this year.
pub(crate) struct Elliptic {
    pub(crate) certificate_pem: String,
    private_pem: String,
    pub(crate) private_pkcs8: Vec<u8>,
}

pub(crate) fn elliptic(until: i32) -> Elliptic {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 12, 31);
    Elliptic {
        certificate_pem: params.self_signed(&key).unwrap().pem(),
        private_pem: key.serialize_pem(),
        private_pkcs8: key.serialize_der(),
    }
}

impl Elliptic {
    pub(crate) fn signed(&self, response: &str) -> String {
        let response = replace(response, "xmldsig-more#rsa-sha256", "xmldsig-more#ecdsa-sha256");
        signed_with(
            &response,
            load_ec_p256_private_pem(self.private_pem.as_bytes()).unwrap(),
        )
    }
}

fn certificate(secret: &str) -> String {
    let (certificate, _) = secret.split_once("-----BEGIN PRIVATE KEY-----").unwrap();
    certificate.to_owned()
}

fn signed_by(response: &str, secret: &str) -> String {
    let pem = &secret[secret.find("-----BEGIN PRIVATE KEY-----").unwrap()..];
    signed_with(response, load_rsa_private_pem(pem.as_bytes()).unwrap())
}

fn signed_with(response: &str, key: Key) -> String {
    let mut keys = KeysManager::new();
    keys.add_key(key);
    let context = DsigContext::new_permissive(keys);
    let template = blank(&blank(response, "DigestValue"), "SignatureValue");
    sign(&context, &template).unwrap()
}

// === impl Situation ===

impl Situation {
    pub(crate) fn new() -> Self {
        Self::of(&RECORDED)
    }

    pub(crate) fn of(recorded: &Recorded) -> Self {
        Self {
            config: read_metadata(&recorded.idp_metadata).unwrap(),
            sp: ServiceProvider {
                entity_id: SP.to_owned(),
                acs_url: ACS.to_owned(),
                slo_url: SLO.to_owned(),
                key: SpKey::from_secret(&SecretString::from(recorded.sp_secret.clone())).unwrap(),
            },
            attempt: Some(Attempt {
                request_id: REQUEST.to_owned(),
            }),
            now: recorded.at + TimeDelta::seconds(5),
        }
    }

    pub(crate) fn finish(&self, response: &str) -> Finished {
        self.finish_form(&encode(response))
    }

    pub(crate) fn finish_form(&self, form: &str) -> Finished {
        finish(&self.config, &self.sp, form, self.attempt.as_ref(), self.now)
    }
}
