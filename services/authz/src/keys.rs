//! Ed25519 keys as Updraft stores and publishes them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A private key with its id. Its text form is secret: hand it only to stores that encrypt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    pub kid: String,
    /// PKCS#8 PEM.
    pem: String,
    public: PublicKey,
}

/// The public half, as a JSON Web Key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    pub kid: String,
    pub kty: String,
    pub crv: String,
    pub alg: String,
    #[serde(rename = "use")]
    pub usage: String,
    /// base64url of the 32 bytes.
    pub x: String,
}

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("the key could not be encoded")]
    Encode,
    #[error("the key is not an Ed25519 key")]
    NotEd25519,
}

// === impl SigningKey ===

impl SigningKey {
    /// Makes a key from 32 random bytes.
    ///
    /// # Errors
    /// When the PEM encoder fails, which it does only for want of memory.
    pub fn from_seed(kid: impl Into<String>, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let kid = kid.into();
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Encode)?;
        let public = PublicKey {
            kid: kid.clone(),
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            alg: "EdDSA".into(),
            usage: "sig".into(),
            x: URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
        };
        Ok(Self {
            kid,
            pem: pem.to_string(),
            public,
        })
    }

    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn pem(&self) -> &[u8] {
        self.pem.as_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

// === impl PublicKey ===

impl PublicKey {
    /// `{"keys": [...]}`, as verifiers read it.
    #[must_use]
    pub fn jwks(keys: &[Self]) -> serde_json::Value {
        serde_json::json!({ "keys": keys })
    }
}
