//! Passwords: which are good enough, and their hashes: argon2id, off the async threads, a bounded number at a time
//! (each takes 19 MiB and a core). Of those who wait there is a bound too: a flood is told to come again, and neither
//! eats the machine nor makes those who are let in wait for minutes.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio::sync::{Semaphore, TryAcquireError};
use zxcvbn::{Score, zxcvbn};

/// In characters.
pub const MIN_PASSWORD_LENGTH: usize = 12;
/// In characters.
pub const MAX_PASSWORD_LENGTH: usize = 128;

/// Fewer guesses than a million: what lists of leaked passwords begin with, and what follows from name or address.
const TOO_EASY: Score = Score::One;
/// Letters and digits that there have to be beside name and address.
const BESIDE_NAMES: usize = 6;
/// Who waits for a turn, at most: with one core and 20 ms a hash, for a second and a half.
const WAITING: usize = 64;
/// After so long it is worth another try.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// One for each who has a turn or waits for one.
    places: Arc<Semaphore>,
    /// Verified against when there is no account, so that it takes as long.
    decoy: Arc<str>,
}

#[derive(Debug, Error)]
pub enum PasswordError {
    #[error("a password has 12 to 128 characters")]
    Length,
    #[error("the password is one of the first to be guessed")]
    Guessable,
    #[error("too many passwords wait to be checked")]
    Busy { retry_after: Duration },
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
        let at_once = at_once();
        Ok(Self {
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once + WAITING)),
            decoy: decoy.into(),
        })
    }

    /// A new password's hash, in PHC string format. `whose` are the person's address and name, which no good password
    /// is made of.
    ///
    /// # Errors
    /// [`PasswordError::Length`] for a password that is too short or too long, [`PasswordError::Guessable`];
    /// [`PasswordError::Busy`].
    pub async fn hash(&self, password: &SecretString, whose: &[&str]) -> Result<String, PasswordError> {
        let length = password.expose_secret().chars().count();
        if !(MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH).contains(&length) {
            return Err(PasswordError::Length);
        }
        let (password, words) = (password.clone(), words(whose));
        self.in_turn(move || {
            if is_guessable(password.expose_secret(), &words) {
                return Err(PasswordError::Guessable);
            }
            hash_now(password.expose_secret())
        })
        .await?
    }

    /// Whether the password is the hashed one. Without a hash the answer is no, in the same time.
    ///
    /// # Errors
    /// [`PasswordError::Busy`]; when the check itself fails.
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
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|error| match error {
                TryAcquireError::NoPermits => PasswordError::Busy {
                    retry_after: COME_AGAIN,
                },
                TryAcquireError::Closed => PasswordError::Hashing,
            })?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Hashing)?;
        tokio::task::spawn_blocking(move || {
            let _until_done = (place, turn);
            work()
        })
        .await
        .map_err(|_| PasswordError::Hashing)
    }
}

/// All cores but one, which is everybody else's.
fn at_once() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).max(1)
}

/// Address and name, whole and in their parts, the longest first.
fn words(whose: &[&str]) -> Vec<String> {
    let parts = whose.iter().flat_map(|text| {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|part| part.chars().count() > 2)
    });
    let whole = whose.iter().copied().filter(|text| !text.is_empty());
    let mut words: Vec<_> = parts.chain(whole).map(str::to_lowercase).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
}

fn is_guessable(password: &str, words: &[String]) -> bool {
    let rest = words
        .iter()
        .fold(password.to_lowercase(), |rest, word| rest.replace(word, ""));
    if rest.chars().filter(|c| c.is_alphanumeric()).count() < BESIDE_NAMES {
        return true;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    zxcvbn(password, &words).score() <= TOO_EASY
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
        let hash = passwords.hash(&right, &[]).await.unwrap();
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
                passwords.hash(&SecretString::from(bad), &[]).await,
                Err(PasswordError::Length)
            ));
        }
        let shortest = SecretString::from("é8ü1ö5ä7ß2ñ4");
        assert!(passwords.hash(&shortest, &[]).await.is_ok());
    }

    #[test]
    fn what_is_guessed_first_is_refused_and_a_sentence_is_not() {
        let words = super::words(&["ada.lovelace@analytical.example", "Ada Lovelace"]);
        for bad in [
            "password1234",
            "123456789012",
            "qwertyuiop123",
            "aaaaaaaaaaaaaaa",
            "abcabcabcabcabc",
            "ada.lovelace@analytical.example",
            "adalovelace1",
            "LovelaceAda!",
            "analytical12",
        ] {
            assert!(super::is_guessable(bad, &words), "{bad}");
        }
        for good in [
            "correct horse battery",
            "an even longer one",
            "tr0ubadour & three",
            "ada-has-a-long-password",
        ] {
            assert!(!super::is_guessable(good, &words), "{good}");
        }
    }

    #[tokio::test]
    async fn of_a_flood_those_for_whom_there_is_no_place_are_sent_away() {
        let passwords = Passwords::new().unwrap();
        let places = passwords.places.available_permits();
        let held = std::sync::Arc::clone(&passwords.places)
            .acquire_many_owned(u32::try_from(places).unwrap())
            .await
            .unwrap();
        let password = SecretString::from("correct horse battery");
        let refused = passwords.verify(&password, None).await;
        assert!(matches!(refused, Err(PasswordError::Busy { .. })));
        drop(held);
        assert!(!passwords.verify(&password, None).await.unwrap());
        assert_eq!(passwords.places.available_permits(), places);
    }
}
