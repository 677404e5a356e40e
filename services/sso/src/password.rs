//! Password hashes: argon2id, off the async threads, a bounded number at a time (each takes 19 MiB).

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio::sync::Semaphore;

/// In characters.
pub const MIN_PASSWORD_LENGTH: usize = 12;
/// In characters.
pub const MAX_PASSWORD_LENGTH: usize = 128;

const AT_ONCE: usize = 2;

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Verified against when there is no account, so that it takes as long.
    decoy: Arc<str>,
}

#[derive(Debug, Error)]
pub enum PasswordError {
    #[error("a password has 12 to 128 characters")]
    Length,
    #[error("the password could not be hashed")]
    Hashing,
}

// === impl Passwords ===

impl Passwords {
    /// Takes the time of one hash.
    ///
    /// # Errors
    /// When hashing fails, which it does only for want of memory or randomness.
    pub fn new() -> Result<Self, PasswordError> {
        let decoy = hash_now("no account has this password")?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            decoy: decoy.into(),
        })
    }

    /// A new password's hash, in PHC string format.
    ///
    /// # Errors
    /// [`PasswordError::Length`] for a password that is too short or too long.
    pub async fn hash(&self, password: &SecretString) -> Result<String, PasswordError> {
        let length = password.expose_secret().chars().count();
        if !(MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH).contains(&length) {
            return Err(PasswordError::Length);
        }
        let password = password.clone();
        self.in_turn(move || hash_now(password.expose_secret())).await?
    }

    /// Whether the password is the hashed one. Without a hash the answer is no, in the same time.
    ///
    /// # Errors
    /// When the check itself fails.
    pub async fn verify(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, PasswordError> {
        let (known, hash) = (hash.is_some(), hash.unwrap_or(&self.decoy).to_owned());
        let password = password.clone();
        let matches = self
            .in_turn(move || verify_now(password.expose_secret(), &hash))
            .await?;
        Ok(matches && known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Hashing)?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(|_| PasswordError::Hashing)
    }
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|_| PasswordError::Hashing)?;
    Ok(hash.to_string())
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{PasswordError, Passwords};

    #[tokio::test]
    async fn only_the_right_password_of_an_account_passes() {
        let passwords = Passwords::new().unwrap();
        let right = SecretString::from("correct horse battery");
        let hash = passwords.hash(&right).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify(&right, Some(&hash)).await.unwrap());
        assert!(
            !passwords
                .verify(&SecretString::from("wrong horse battery"), Some(&hash))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(&right, None).await.unwrap());
        assert!(!passwords.verify(&right, Some("no hash")).await.unwrap());
    }

    #[tokio::test]
    async fn the_decoy_opens_nothing() {
        let passwords = Passwords::new().unwrap();
        assert!(
            !passwords
                .verify(&SecretString::from("no account has this password"), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn lengths_are_counted_in_characters() {
        let passwords = Passwords::new().unwrap();
        for bad in ["elevenchars".to_owned(), "é".repeat(129)] {
            assert!(matches!(
                passwords.hash(&SecretString::from(bad)).await,
                Err(PasswordError::Length)
            ));
        }
        assert!(passwords.hash(&SecretString::from("é".repeat(12))).await.is_ok());
    }
}
