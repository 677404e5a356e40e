//! Credentials, where they come from, and their renewal before they end.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::AwsError;

/// What expires is renewed this long before.
const BEFORE_EXPIRY: TimeDelta = TimeDelta::minutes(5);

/// What requests are signed with.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: SecretString,
    pub session_token: Option<SecretString>,
    /// None: they don't end.
    pub expires_at: Option<DateTime<Utc>>,
}

#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// Valid ones, from memory while there are.
    async fn credentials(&self) -> Result<Credentials, AwsError>;
}

/// Always the same ones.
#[derive(Clone, Debug)]
pub struct FixedCredentials(pub Credentials);

/// Keeps what a source gave until shortly before its end. One caller fetches, the others wait for what it gets.
pub struct Renewed<S> {
    source: S,
    held: Mutex<Option<Credentials>>,
}

// === impl Credentials ===

impl Credentials {
    fn last_beyond(&self, moment: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| end > moment)
    }
}

#[async_trait]
impl CredentialSource for FixedCredentials {
    async fn credentials(&self) -> Result<Credentials, AwsError> {
        Ok(self.0.clone())
    }
}

// === impl Renewed ===

impl<S: CredentialSource> Renewed<S> {
    pub fn new(source: S) -> Self {
        Self {
            source,
            held: Mutex::new(None),
        }
    }
}

#[async_trait]
impl<S: CredentialSource> CredentialSource for Renewed<S> {
    async fn credentials(&self) -> Result<Credentials, AwsError> {
        let mut held = self.held.lock().await;
        let now = Utc::now();
        if let Some(known) = held
            .as_ref()
            .filter(|known| known.last_beyond(now + BEFORE_EXPIRY))
        {
            return Ok(known.clone());
        }
        match self.source.credentials().await {
            Ok(fresh) => Ok(held.insert(fresh).clone()),
            // What still lasts will do until the source answers again.
            Err(error) => match held.as_ref().filter(|known| known.last_beyond(now)) {
                Some(known) => {
                    tracing::warn!(%error, "credentials could not be renewed; the ones at hand still last");
                    Ok(known.clone())
                }
                None => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counted {
        asked: AtomicUsize,
        last: TimeDelta,
        fails_after: usize,
    }

    #[async_trait]
    impl CredentialSource for Counted {
        async fn credentials(&self) -> Result<Credentials, AwsError> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            if number > self.fails_after {
                return Err(AwsError::Credentials("gone".to_owned()));
            }
            Ok(Credentials {
                access_key: format!("key-{number}"),
                secret_key: "s".into(),
                session_token: None,
                expires_at: Some(Utc::now() + self.last),
            })
        }
    }

    fn renewed(last: TimeDelta, fails_after: usize) -> Renewed<Counted> {
        Renewed::new(Counted {
            asked: AtomicUsize::new(0),
            last,
            fails_after,
        })
    }

    #[tokio::test]
    async fn many_callers_make_one_request() {
        let source = renewed(TimeDelta::hours(1), 9);
        let asked = (0..20).map(|_| source.credentials());
        for answer in futures::future::join_all(asked).await {
            assert_eq!(answer.unwrap().access_key, "key-1");
        }
        assert_eq!(source.source.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn they_are_renewed_five_minutes_before_their_end() {
        let source = renewed(TimeDelta::minutes(5), 9);
        assert_eq!(source.credentials().await.unwrap().access_key, "key-1");
        assert_eq!(source.credentials().await.unwrap().access_key, "key-2");
    }

    #[tokio::test]
    async fn what_lasts_bridges_a_source_that_fails_and_what_ended_does_not() {
        let source = renewed(TimeDelta::minutes(4), 1);
        source.credentials().await.unwrap();
        assert_eq!(source.credentials().await.unwrap().access_key, "key-1");
        let source = renewed(TimeDelta::minutes(-1), 1);
        source.credentials().await.unwrap();
        assert!(source.credentials().await.is_err());
    }
}
