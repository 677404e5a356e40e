//! Opaque tokens: random, shown once, stored as SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "upd_s_";
/// 32 bytes in base64url without padding.
const CODE_LENGTH: usize = 43;

/// A console or REST session's token.
#[derive(Clone, Debug)]
pub struct SessionToken(SecretString);

// === impl SessionToken ===

impl SessionToken {
    #[must_use]
    pub fn random() -> Self {
        Self(SecretString::from(format!("{PREFIX}{}", random_code())))
    }

    /// `None` when the text cannot be such a token; whether it is one, the database knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code = text.strip_prefix(PREFIX)?;
        let plausible = code.len() == CODE_LENGTH
            && code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        plausible.then(|| Self(SecretString::from(text)))
    }

    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose_secret().as_bytes())
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// 256 bits of the operating system's randomness, URL-safe.
#[must_use]
pub fn random_code() -> String {
    URL_SAFE_NO_PAD.encode(random_bits())
}

/// 256 bits of the operating system's randomness.
#[must_use]
pub fn random_bits() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::SessionToken;

    #[test]
    fn a_token_is_recognised_and_hashes_alike() {
        let token = SessionToken::random();
        let again = SessionToken::parse(token.expose()).unwrap();
        assert_eq!(token.hash(), again.hash());
        assert_ne!(token.hash(), SessionToken::random().hash());
    }

    #[test]
    fn anything_else_never_reaches_the_database() {
        for bad in [
            "",
            "upd_s_",
            "upd_s_short",
            &"x".repeat(49),
            "upd_s_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\"",
        ] {
            assert!(SessionToken::parse(bad).is_none(), "{bad}");
        }
    }
}
