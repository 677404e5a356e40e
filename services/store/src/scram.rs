//! What PostgreSQL is told instead of a password: the verifier that it would make of it.
//!
//! Statements end up in servers' logs (`log_statement = ddl`, which on RDS go on to CloudWatch). Nobody signs in with what
//! stands there then.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::StoreError;

/// PostgreSQL's own number (`scram_iterations`). Passwords here are 256 random bits, which no number makes safer.
const ITERATIONS: u32 = 4096;

type Key = [u8; 32];

/// `SCRAM-SHA-256$4096:SALT$StoredKey:ServerKey`, as RFC 5802 and RFC 7677 derive it and `password '…'` takes it.
///
/// # Errors
/// When the password has other characters than printable ASCII. Those are what SASLprep (RFC 4013), which comes before,
/// leaves as they are; all passwords that are made here are of them.
pub(crate) fn verifier(password: &SecretString, salt: [u8; 16]) -> Result<String, StoreError> {
    let password = password.expose_secret();
    if !password.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err(StoreError::Corrupt {
            what: "database password",
        });
    }
    let salted = salted(password.as_bytes(), salt);
    let stored_key = Sha256::digest(tag(&salted, &[b"Client Key"]));
    let server_key = tag(&salted, &[b"Server Key"]);
    Ok(format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    ))
}

/// `Hi` of RFC 5802: PBKDF2 for one block.
fn salted(password: &[u8], salt: [u8; 16]) -> Key {
    let mut last = tag(password, &[&salt, &1_u32.to_be_bytes()]);
    let mut all = last;
    for _ in 1..ITERATIONS {
        last = tag(password, &[&last]);
        for (sum, byte) in all.iter_mut().zip(last) {
            *sum ^= byte;
        }
    }
    all
}

fn tag(key: &[u8], parts: &[&[u8]]) -> Key {
    // HMAC takes keys of any length: this cannot fail.
    <Hmac<Sha256> as hmac::Mac>::new_from_slice(key)
        .map(|mut mac| {
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().into()
        })
        .unwrap_or_default()
}
