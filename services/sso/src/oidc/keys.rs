//! The provider's keys, and the only signatures that are believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Asymmetric ones, strong ones. `none` is no algorithm, and with HS* whoever knows the client secret (or takes the
/// public key for one) could sign.
pub(super) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];
/// Keys of one provider that are looked at.
const KEYS: usize = 100;
/// In bytes: 2048 bits.
const RSA_MODULUS: usize = 256;

/// Signing keys of one provider.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// What it says it is for; none: whatever its kind can.
    algorithm: Option<String>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// As it comes (RFC 7517, section 5). Keys that are not understood are left out, as the RFC wants.
#[derive(Debug, Deserialize)]
pub(super) struct KeyDocument {
    keys: Vec<Value>,
}

// === impl KeySet ===

impl KeySet {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key for a header's `kid`; without one the only key that can do the algorithm. What else a header brings (`jwk`,
    /// `jku`, `x5u`) is never looked at.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm, name: &str) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.kind.can(algorithm)
                && key.algorithm.as_deref().is_none_or(|own| own == name)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        match (fitting.next(), fitting.next(), id) {
            (Some(key), None, _) | (Some(key), Some(_), Some(_)) => Some(&key.key),
            _ => None,
        }
    }
}

impl From<KeyDocument> for KeySet {
    fn from(document: KeyDocument) -> Self {
        Self(
            document
                .keys
                .into_iter()
                .take(KEYS)
                .filter_map(Key::read)
                .collect(),
        )
    }
}

// === impl Key ===

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let signs = !matches!(
            jwk.common.public_key_use,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
        );
        let kind = Kind::of(&jwk.algorithm)?;
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        signs.then(|| Self {
            id: jwk.common.key_id,
            algorithm: jwk.common.key_algorithm.map(|algorithm| algorithm.to_string()),
            kind,
            key,
        })
    }
}

// === impl Kind ===

impl Kind {
    fn of(parameters: &AlgorithmParameters) -> Option<Self> {
        match parameters {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
                (modulus.len() >= RSA_MODULUS).then_some(Self::Rsa)
            }
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => Some(Self::P256),
                EllipticCurve::P384 => Some(Self::P384),
                _ => None,
            },
            AlgorithmParameters::OctetKeyPair(key) => {
                matches!(key.curve, EllipticCurve::Ed25519).then_some(Self::Ed25519)
            }
            _ => None,
        }
    }

    fn can(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::ES256 => self == Self::P256,
            Algorithm::ES384 => self == Self::P384,
            Algorithm::EdDSA => self == Self::Ed25519,
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => self == Self::Rsa,
            _ => false,
        }
    }
}
