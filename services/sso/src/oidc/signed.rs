//! A signed token (RFC 7515, compact), taken apart before it is believed and believed only by [`Signed::verify`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::claims::Claims;
use super::keys::{ALGORITHMS, KeySet};
use super::refusals::proof;
use crate::Refusal;

/// In bytes. Entra's with 200 groups have about 10 KB.
const LONGEST: usize = 64 * 1024;

/// Not verified yet.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    header: Header,
    algorithm: Algorithm,
    message: &'a str,
    signature: &'a str,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that have to be understood (RFC 7515, section 4.1.11): none is.
    crit: Option<Value>,
}

/// Why a signature could not be verified.
#[derive(Debug)]
pub(super) enum Unverified {
    /// The keys may have changed since they were fetched.
    UnknownKey,
    Refused(Refusal),
}

// === impl Signed ===

impl<'a> Signed<'a> {
    /// # Errors
    /// `oidc.token_malformed`, `oidc.algorithm_refused`.
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
        if token.len() > LONGEST || payload.contains('.') {
            return Err(malformed());
        }
        let header: Header = decode(header)?;
        let known = ALGORITHMS.iter().find(|(name, _)| *name == header.alg);
        let Some((_, algorithm)) = known else {
            return Err(proof(
                "oidc.algorithm_refused",
                "it is not signed, or in a way that is not trusted",
            ));
        };
        if header.crit.is_some() {
            return Err(malformed());
        }
        Ok(Self {
            algorithm: *algorithm,
            header,
            message,
            signature,
        })
    }

    /// A token made for one purpose is not taken for another (RFC 8725, section 3.11).
    pub(super) fn judge_type(&self, types: &[&str]) -> Result<(), Refusal> {
        let own = self.header.typ.as_deref().unwrap_or("JWT");
        if types.iter().any(|one| own.eq_ignore_ascii_case(one)) {
            return Ok(());
        }
        Err(proof("oidc.wrong_token_type", "it is another kind of token"))
    }

    /// The name of the hash that belongs to the algorithm (`at_hash`).
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn verify(&self, keys: &KeySet) -> Result<Claims, Unverified> {
        let key = keys
            .find(self.header.kid.as_deref(), self.algorithm, &self.header.alg)
            .ok_or(Unverified::UnknownKey)?;
        let valid = crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm);
        if !valid.unwrap_or(false) {
            return Err(Unverified::Refused(proof(
                "oidc.wrong_signature",
                "its signature is wrong",
            )));
        }
        let (_, payload) = self.message.split_once('.').unwrap_or_default();
        decode(payload).map(Claims).map_err(Unverified::Refused)
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    serde_json::from_slice(&bytes).map_err(|_| malformed())
}

fn malformed() -> Refusal {
    proof("oidc.token_malformed", "it is not a signed token")
}
