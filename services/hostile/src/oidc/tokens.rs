//! Keys, and tokens signed as a row wants them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};

/// A key of a provider's.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    public_pem: String,
}

/// How a token is signed.
#[derive(Clone, Debug)]
pub enum Signing {
    With(Key),
    /// HMAC with these bytes, under `HS256`.
    Hmac(Vec<u8>),
    /// `none` and an empty signature.
    Unsigned,
}

// === impl Key ===

impl Key {
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let (pair, encode): (_, fn(&[u8]) -> EncodingKey) = match algorithm {
            Algorithm::ES256 => (&PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_der),
            Algorithm::ES384 => (&PKCS_ECDSA_P384_SHA384, EncodingKey::from_ec_der),
            Algorithm::EdDSA => (&PKCS_ED25519, EncodingKey::from_ed_der),
            _ => return Self::rsa(id, algorithm),
        };
        let pair = KeyPair::generate_for(pair).unwrap();
        // Ed25519 in PKCS#8 version 1 (RFC 5958), which carries no public key.
        let der = match algorithm {
            Algorithm::EdDSA => ed25519_v1(&pair.serialize_der()),
            _ => pair.serialize_der(),
        };
        Self {
            id: id.to_owned(),
            algorithm,
            key: encode(&der),
            public_pem: pair.public_key_pem(),
        }
    }

    /// Making an RSA key takes minutes unoptimised, so this one is in the repository, and opens nothing.
    fn rsa(id: &str, algorithm: Algorithm) -> Self {
        Self {
            id: id.to_owned(),
            algorithm,
            key: EncodingKey::from_rsa_der(include_bytes!("rsa.der")),
            public_pem: String::new(),
        }
    }

    /// As an attacker has it who only reads what is public.
    pub fn public_pem(&self) -> Vec<u8> {
        self.public_pem.clone().into_bytes()
    }

    pub fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["use"] = json!("sig");
        jwk
    }

    pub fn name(&self) -> Value {
        serde_json::to_value(self.algorithm).unwrap()
    }
}

// === impl Signing ===

impl Signing {
    pub fn header(&self) -> Value {
        match self {
            Self::With(key) => json!({"alg": key.name(), "kid": key.id, "typ": "JWT"}),
            Self::Hmac(_) => json!({"alg": "HS256", "typ": "JWT"}),
            Self::Unsigned => json!({"alg": "none"}),
        }
    }

    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let sign = |key: &EncodingKey, algorithm| crypto::sign(message.as_bytes(), key, algorithm).unwrap();
        let signature = match self {
            Self::With(key) => sign(&key.key, key.algorithm),
            Self::Hmac(secret) => sign(&EncodingKey::from_secret(secret), Algorithm::HS256),
            Self::Unsigned => String::new(),
        };
        format!("{message}.{signature}")
    }
}

fn ed25519_v1(der: &[u8]) -> Vec<u8> {
    let seed = der
        .windows(4)
        .position(|window| window == [0x04, 0x22, 0x04, 0x20])
        .unwrap()
        + 4;
    let head = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ];
    [&head, &der[seed..seed + 32]].concat()
}
