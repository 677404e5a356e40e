//! The text of an API token: `upd_t_`, 43 characters (256 random bits in base 62), and 6 of checksum.
//!
//! The prefix makes it findable and the checksum keeps a secret scanner from crying wolf: nothing but a token made here
//! has both. The checksum is the CRC-32 (IEEE) of all that is before it, in base 62 with leading zeros. Without a
//! database, a scanner can so tell tokens by `\bupd_t_[0-9A-Za-z]{49}\b` and the checksum alone. Only the SHA-256 of the
//! whole text is ever stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "upd_t_";
/// 62⁴³ is the first power beyond 2²⁵⁶.
const BODY: usize = 43;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a token's text; as text, base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// An API token's text. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiToken(String);

// === impl ApiToken ===

impl ApiToken {
    /// Makes a token of 256 random bits.
    #[must_use]
    pub fn from_random(bits: &[u8; 32]) -> Self {
        let mut text = format!("{PREFIX}{}", body(*bits));
        text.push_str(&checksum(&text));
        Self(text)
    }

    /// Whether the text claims to be an API token.
    #[must_use]
    pub fn has_prefix(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// `None` when the text cannot be a token; whether it is one, only control and the policy know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let plausible = rest.len() == BODY + CHECKSUM && rest.bytes().all(|b| b.is_ascii_alphanumeric());
        let (signed, sum) = text.split_at_checked(PREFIX.len() + BODY)?;
        (plausible && checksum(signed) == sum).then(|| Self(text.to_owned()))
    }

    /// What is stored, and what edges look up.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The last four characters, to recognise it by.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiToken").finish_non_exhaustive()
    }
}

// === impl TokenHash ===

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenHash").finish_non_exhaustive()
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(de::Error::custom)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| de::Error::custom("not 32 bytes"))?;
        Ok(Self(bytes))
    }
}

/// Divides the number by 62 until nothing is left.
fn body(mut number: [u8; 32]) -> String {
    let digits: Vec<u8> = (0..BODY)
        .map(|_| {
            let remainder = number.iter_mut().fold(0_u32, |carried, byte| {
                let value = carried << 8 | u32::from(*byte);
                *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
                value % 62
            });
            digit(remainder)
        })
        .collect();
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

fn checksum(text: &str) -> String {
    let mut sum = crc32fast::hash(text.as_bytes());
    let digits: Vec<u8> = (0..CHECKSUM)
        .map(|_| {
            let last = digit(sum % 62);
            sum /= 62;
            last
        })
        .collect();
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

fn digit(value: u32) -> u8 {
    usize::try_from(value)
        .ok()
        .and_then(|index| ALPHABET.get(index).copied())
        .unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::ApiToken;

    #[test]
    fn a_token_is_recognised_and_hashes_alike() {
        let token = ApiToken::from_random(&[7; 32]);
        let again = ApiToken::parse(token.expose()).unwrap();
        assert_eq!(token.hash(), again.hash());
        assert_ne!(token.hash(), ApiToken::from_random(&[8; 32]).hash());
        assert!(token.expose().ends_with(token.hint()));
        assert!(!format!("{token:?}").contains("upd_t_"));
    }

    #[test]
    fn its_text_is_what_scanners_look_for() {
        // Computed apart, with Python's zlib.crc32.
        assert_eq!(
            ApiToken::from_random(&[0; 32]).expose(),
            "upd_t_00000000000000000000000000000000000000000000IBMOS"
        );
        assert_eq!(
            ApiToken::from_random(&[255; 32]).expose(),
            "upd_t_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp13Qwfeu"
        );
    }

    #[test]
    fn anything_else_never_reaches_a_table() {
        let good = ApiToken::from_random(&[7; 32]).expose().to_owned();
        let mut swapped = good.clone().into_bytes();
        swapped.swap(7, 48);
        let swapped = String::from_utf8(swapped).unwrap();
        for bad in [
            "",
            "upd_t_",
            "upd_t_é",
            &good[..54],
            &format!("{good}0"),
            &good.replace("upd_t_", "upd_s_"),
            &good.to_lowercase(),
            &format!(" {good}"),
            &swapped,
        ] {
            assert!(ApiToken::parse(bad).is_none(), "{bad}");
        }
    }
}
