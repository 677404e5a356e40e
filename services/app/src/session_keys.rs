//! The keys that sign sessions for edges, and how they follow each other.
//!
//! A key is published to edges [`LEAD`] before it signs, so that none of them meets a session it cannot verify, and stays
//! published for as long as a session it signed may last. Any number of control processes may turn them: a key's name
//! says its number, and of two that are made at once one is kept.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Duration, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_authz::{PublicKey, SigningKey};
use updraft_store::secrets::{self, ControlKey, SecretError};
use updraft_store::{StoreError, installation_keys};

use crate::audit::{By, Change, Target, besides};
use crate::{App, AppError};

/// The first key's name; its successors add a number.
const NAME: &str = "session";
/// A key signs for so long.
const TURN_AFTER: Duration = Duration::days(30);
/// From being published to signing: edges hear of a change within seconds while control is there.
const LEAD: Duration = Duration::minutes(10);
/// No session lasts longer.
const LONGEST_SESSION: Duration = Duration::days(30);

/// The keys that are good now, the oldest first. Shared with whoever publishes them.
#[derive(Clone, Debug)]
pub struct SessionKeys(Arc<RwLock<Vec<SessionKey>>>);

#[derive(Clone, Debug)]
struct SessionKey {
    key: SigningKey,
    made_at: DateTime<Utc>,
    /// Another is wanted in its place.
    is_asked: bool,
    /// It may be known to others: what it signed is worth nothing any more.
    is_distrusted: bool,
}

// === impl SessionKeys ===

impl SessionKeys {
    /// One key for ever, until [`App::turn_session_keys`] is asked.
    #[must_use]
    pub fn fixed(key: SigningKey) -> Self {
        let made_at = DateTime::UNIX_EPOCH;
        Self(Arc::new(RwLock::new(vec![SessionKey {
            key,
            made_at,
            is_asked: false,
            is_distrusted: false,
        }])))
    }

    /// What edges verify sessions by.
    #[must_use]
    pub fn published(&self) -> Vec<PublicKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| key.key.public().clone()).collect()
    }

    pub(crate) fn signing(&self, now: DateTime<Utc>) -> Result<SigningKey, AppError> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let key = signing(&keys, now).ok_or(AppError::Internal {
            what: "finding a session key",
        })?;
        Ok(key.key.clone())
    }

    fn replace(&self, keys: Vec<SessionKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

impl App {
    /// Makes the first key, and another when the newest has signed for 30 days; forgets those whose sessions are over.
    /// For a background task.
    ///
    /// # Errors
    /// When the database cannot be asked, or a key does not open.
    pub async fn turn_session_keys(&self) -> Result<(), AppError> {
        self.turn_session_keys_at(self.now()).await
    }

    async fn turn_session_keys_at(&self, now: DateTime<Utc>) -> Result<(), AppError> {
        let master_key = &self.config().master_key;
        let mut tx = self.store().begin().await?;
        let kept = secrets::list_control_keys(&mut tx, master_key, NAME).await;
        let mut keys = read(kept.map_err(unreadable)?)?;
        if let Some(name) = next_name(&keys, now) {
            let fresh = SecretString::from(hex::encode(updraft_sso::random_bits()));
            secrets::ensure_control_key(&mut tx, master_key, &name, &fresh)
                .await
                .map_err(unreadable)?;
            let kept = secrets::list_control_keys(&mut tx, master_key, NAME).await;
            keys = read(kept.map_err(unreadable)?)?;
            besides("session_key.make")
                .on(Target::new("session_key", name, None))
                .done(&mut tx, By::system(None), Change::none())
                .await?;
        }
        let over = over(&mut keys, now);
        if !over.is_empty() {
            // Who holds what they signed is let in no longer than until edges hear of it.
            installation_keys::announce(&mut tx).await?;
        }
        for name in over {
            secrets::remove_control_key(&mut tx, &name).await?;
            besides("session_key.remove")
                .on(Target::new("session_key", name, None))
                .done(&mut tx, By::system(None), Change::none())
                .await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.config().session_keys.replace(keys);
        Ok(())
    }
}

/// The newest that was published long enough ago; the very first need not wait.
fn signing(keys: &[SessionKey], now: DateTime<Utc>) -> Option<&SessionKey> {
    let ready = keys.iter().rev().find(|key| key.made_at + LEAD <= now);
    ready.or(keys.first())
}

/// What the next key is called, when there has to be one.
fn next_name(keys: &[SessionKey], now: DateTime<Utc>) -> Option<String> {
    let Some(newest) = keys.last() else {
        return Some(NAME.to_owned());
    };
    let number = newest.key.kid.strip_prefix(NAME)?.strip_prefix('-');
    let number: u32 = number.map_or(Some(1), |number| number.parse().ok())?;
    let is_due = newest.is_asked || newest.is_distrusted || now - newest.made_at >= TURN_AFTER;
    is_due.then(|| format!("{NAME}-{}", number + 1))
}

/// Takes those out whose successor has signed for longer than any session lasts, and those that are trusted no more.
fn over(keys: &mut Vec<SessionKey>, now: DateTime<Utc>) -> Vec<String> {
    let distrusted = keys.iter().rposition(|key| key.is_distrusted);
    let last_signed = keys.iter().skip(1).map(|successor| successor.made_at + LEAD);
    let gone = last_signed
        .take_while(|until| *until + LONGEST_SESSION < now)
        .count()
        .max(distrusted.map_or(0, |last| last + 1))
        .min(keys.len().saturating_sub(1));
    keys.drain(..gone).map(|key| key.key.kid).collect()
}

fn read(kept: Vec<ControlKey>) -> Result<Vec<SessionKey>, AppError> {
    let damaged = || AppError::Internal {
        what: "reading a session key",
    };
    kept.into_iter()
        .map(|kept| {
            let mut seed = [0; 32];
            hex::decode_to_slice(kept.secret.expose_secret(), &mut seed).map_err(|_| damaged())?;
            Ok(SessionKey {
                key: SigningKey::from_seed(kept.name, &seed).map_err(|_| damaged())?,
                made_at: kept.created_at,
                is_asked: kept.is_asked,
                is_distrusted: kept.is_distrusted,
            })
        })
        .collect()
}

fn unreadable(error: SecretError) -> AppError {
    match error {
        SecretError::Store(error) => AppError::Store(error),
        SecretError::Sealed { .. } => AppError::Internal {
            what: "opening a session key",
        },
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration, Utc};
    use updraft_authz::SigningKey;

    use super::{SessionKey, next_name, over, signing};

    const BEGINNING: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn made(name: &str, days: i64) -> SessionKey {
        SessionKey {
            key: SigningKey::from_seed(name, &[0; 32]).unwrap(),
            made_at: day(days),
            is_asked: false,
            is_distrusted: false,
        }
    }

    fn day(days: i64) -> DateTime<Utc> {
        BEGINNING + Duration::days(days)
    }

    #[test]
    fn a_key_signs_for_thirty_days_and_its_successor_only_when_edges_know_it() {
        let one = vec![made("session", 0)];
        assert_eq!(next_name(&[], day(0)).as_deref(), Some("session"));
        assert_eq!(next_name(&one, day(29)), None);
        assert_eq!(next_name(&one, day(30)).as_deref(), Some("session-2"));
        let two = vec![made("session", 0), made("session-2", 30)];
        assert_eq!(next_name(&two, day(31)), None);
        assert_eq!(next_name(&two, day(60)).as_deref(), Some("session-3"));

        let signs = |now| signing(&two, now).unwrap().key.kid.clone();
        assert_eq!(signs(day(30) + Duration::minutes(9)), "session");
        assert_eq!(signs(day(30) + Duration::minutes(10)), "session-2");
        assert_eq!(signing(&one, day(0)).unwrap().key.kid, "session");
        assert!(signing(&[], day(0)).is_none());
    }

    #[test]
    fn another_key_is_made_when_it_is_asked_for_and_one_that_is_known_to_others_ends_at_once() {
        let mut keys = vec![made("session", 0)];
        keys[0].is_asked = true;
        assert_eq!(next_name(&keys, day(1)).as_deref(), Some("session-2"));
        keys[0].is_distrusted = true;
        assert!(over(&mut keys, day(1)).is_empty(), "there is no other yet");
        keys.push(made("session-2", 1));
        assert_eq!(over(&mut keys, day(1)), ["session"]);
        assert_eq!(signing(&keys, day(1)).unwrap().key.kid, "session-2");
    }

    #[test]
    fn a_key_goes_when_the_last_session_it_signed_is_over() {
        let mut keys = vec![made("session", 0), made("session-2", 30), made("session-3", 60)];
        assert!(over(&mut keys, day(60)).is_empty());
        assert_eq!(over(&mut keys, day(61)), ["session"]);
        assert_eq!(keys.len(), 2);
    }
}
