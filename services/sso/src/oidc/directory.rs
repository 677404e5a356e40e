//! Discovered documents and keys, kept for minutes in memory, shared by all tenants: they are the issuer's own words.
//! That a provider gave no answer is kept too, for seconds: while it is away, one person waits for it and not everybody.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use rand::Rng as _;
use tokio::time::Instant;
use updraft_model::OidcConfig;
use url::Url;

use super::claims::Claims;
use super::document::{Document, discovery_url};
use super::keys::{KeyDocument, KeySet};
use super::refusals::{failing, proof, unasked, unexpected};
use super::signed::{Signed, Unverified};
use crate::Refusal;
use crate::outbound::{Outbound, OutboundRequest, OutboundResponse};

const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long no answer counts for everybody: from the first to the second, not the same for all, so that many who wait do
/// not come back at once.
const AWAY: Range<Duration> = Duration::from_secs(5)..Duration::from_secs(10);
/// Looks at one provider's keys per minute, however many tokens name a key that nobody knows. Those that anybody may send
/// (logout) are counted apart from those that the provider itself gave us, so that nobody can use the looks of others up.
const LOOKS: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// More than there are providers; beyond it, everything is discovered again.
const REMEMBERED: usize = 1024;

/// What is known of providers.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) outbound: Outbound,
    documents: Memory<Document>,
    keys: Memory<KeySet>,
    away: Memory<Refusal>,
    looks: Arc<DefaultKeyedRateLimiter<(String, Source)>>,
}

/// Who brought a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The provider, when we asked it.
    Provider,
    /// Whoever found the address.
    Anybody,
}

struct Memory<T>(Arc<Mutex<Known<T>>>);

/// Until when, and what.
type Known<T> = HashMap<String, (Instant, Arc<T>)>;

// === impl Directory ===

impl Directory {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self {
            outbound,
            documents: Memory::default(),
            keys: Memory::default(),
            away: Memory::default(),
            looks: Arc::new(RateLimiter::keyed(Quota::per_minute(LOOKS))),
        }
    }

    /// # Errors
    /// When the provider cannot be asked, or is not the configured one.
    pub(super) async fn document(&self, config: &OidcConfig) -> Result<Arc<Document>, Refusal> {
        if let Some(known) = self.documents.get(&config.issuer) {
            return known.check(config).map(|()| known);
        }
        if let Some(refusal) = self.away.get(&config.issuer) {
            return Err(refusal.as_ref().clone());
        }
        let (_, document) = self.discover(config).await?;
        document.check(config)?;
        Ok(self.documents.put(&config.issuer, document, FRESH))
    }

    /// Asks, whatever is known; and the answer as it came.
    pub(super) async fn discover(
        &self,
        config: &OidcConfig,
    ) -> Result<(OutboundResponse, Document), Refusal> {
        let asked = self.ask_for_document(config).await;
        match &asked {
            Ok(_) => self.away.forget(&config.issuer),
            Err(refusal) => {
                let jittered = rand::rng().random_range(AWAY);
                self.away.put(&config.issuer, refusal.clone(), jittered);
            }
        }
        asked
    }

    async fn ask_for_document(&self, config: &OidcConfig) -> Result<(OutboundResponse, Document), Refusal> {
        let answer = self
            .get(discovery_url(&config.issuer)?, "discovery document")
            .await?;
        let document = answer.json().map_err(|_| unexpected("discovery document"))?;
        Ok((answer, document))
    }

    /// Verifies a token's signature, with newer keys if it names one that is not known.
    ///
    /// # Errors
    /// `oidc.unknown_key`, `oidc.wrong_signature`, or when the keys cannot be had.
    pub(super) async fn verify(
        &self,
        document: &Document,
        token: &Signed<'_>,
        source: Source,
    ) -> Result<Claims, Refusal> {
        let keys = match self.keys.get(document.jwks_uri.as_str()) {
            Some(keys) => keys,
            None => self.fetch_keys(&document.jwks_uri).await?,
        };
        match token.verify(&keys) {
            Ok(claims) => Ok(claims),
            Err(Unverified::Refused(refusal)) => Err(refusal),
            Err(Unverified::UnknownKey) => self.verify_with_newer(document, token, source).await,
        }
    }

    async fn verify_with_newer(
        &self,
        document: &Document,
        token: &Signed<'_>,
        source: Source,
    ) -> Result<Claims, Refusal> {
        let unknown = || {
            proof(
                "oidc.unknown_key",
                "it is signed with a key that the provider does not publish",
            )
        };
        if self.looks.len() > REMEMBERED {
            self.looks.retain_recent();
        }
        let look = (document.issuer.clone(), source);
        self.looks.check_key(&look).map_err(|_| unknown())?;
        let keys = self.fetch_keys(&document.jwks_uri).await?;
        token.verify(&keys).map_err(|error| match error {
            Unverified::Refused(refusal) => refusal,
            Unverified::UnknownKey => unknown(),
        })
    }

    /// Fetches and remembers.
    pub(super) async fn fetch_keys(&self, url: &Url) -> Result<Arc<KeySet>, Refusal> {
        let answer = self.get(url.clone(), "key document").await?;
        let keys: KeyDocument = answer.json().map_err(|_| unexpected("key document"))?;
        Ok(self.keys.put(url.as_str(), keys.into(), FRESH))
    }

    async fn get(&self, url: Url, what: &str) -> Result<OutboundResponse, Refusal> {
        let answer = self
            .outbound
            .fetch(OutboundRequest::get(url))
            .await
            .map_err(unasked)?;
        match answer.status.as_u16() {
            200 => Ok(answer),
            500.. => Err(failing(what)),
            _ => Err(unexpected(what)),
        }
    }
}

// === impl Memory ===

impl<T> Memory<T> {
    fn get(&self, name: &str) -> Option<Arc<T>> {
        let known = self.lock();
        let (until, value) = known.get(name)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    fn put(&self, name: &str, value: T, lasts: Duration) -> Arc<T> {
        let value = Arc::new(value);
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now() + lasts, value.clone()));
        value
    }

    fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, Known<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Memory<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Memory({})", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Memory;

    #[test]
    fn what_is_remembered_is_known_until_its_time_is_over_or_it_is_forgotten() {
        let memory = Memory::default();
        memory.put("over", 1, Duration::ZERO);
        memory.put("long", 2, Duration::from_secs(3_600));
        assert_eq!(
            (memory.get("over"), memory.get("long").as_deref()),
            (None, Some(&2))
        );
        memory.forget("long");
        assert_eq!(memory.get("long"), None);
    }
}
