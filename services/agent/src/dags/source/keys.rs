//! What opens buckets and queues. A role's session ends: the next one takes its place in what reads already, and nothing that
//! is under way is begun anew.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use updraft_api::agent::{DagDelivery, KeyPair, SourceDelivery, SourceFrom};

/// The keys of the moment, shared by all who read one source, or the cluster's own bucket.
#[derive(Clone, Debug)]
pub(in crate::dags) struct Keys(Arc<RwLock<Arc<AwsCredential>>>);

/// Where a delivery's next keys go.
#[derive(Debug)]
pub(in crate::dags) struct Renewals {
    own: Keys,
    sources: Vec<Renewal>,
}

/// The same of one source.
#[derive(Debug)]
pub(in crate::dags) struct Renewal {
    folder: String,
    keys: Keys,
    woken: Arc<Notify>,
}

/// The same delivery, whichever keys it comes with. A source without any is another one.
pub(in crate::dags) fn without_keys(mut delivery: DagDelivery) -> DagDelivery {
    let none = || KeyPair {
        access_key: String::new(),
        secret_key: String::new().into(),
        session_token: None,
    };
    delivery.access_key.clear();
    (delivery.secret_key, delivery.session_token) = (String::new().into(), None);
    for source in &mut delivery.sources {
        if let SourceFrom::S3 {
            credential: Some(pair),
            ..
        } = &mut source.from
        {
            *pair = none();
        }
    }
    delivery
}

fn pair(source: &SourceDelivery) -> Option<&KeyPair> {
    match &source.from {
        SourceFrom::S3 { credential, .. } => credential.as_ref(),
        SourceFrom::ClusterBucket { .. } | SourceFrom::Push { .. } | SourceFrom::Git { .. } => None,
    }
}

/// Of the cluster's own bucket.
fn own_pair(delivery: &DagDelivery) -> KeyPair {
    KeyPair {
        access_key: delivery.access_key.clone(),
        secret_key: delivery.secret_key.clone(),
        session_token: delivery.session_token.clone(),
    }
}

fn credential(pair: &KeyPair) -> AwsCredential {
    AwsCredential {
        key_id: pair.access_key.clone(),
        secret_key: pair.secret_key.expose_secret().to_owned(),
        token: pair
            .session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
    }
}

// === impl Keys ===

impl Keys {
    /// Of the cluster's own bucket.
    pub(in crate::dags) fn own(delivery: &DagDelivery) -> Self {
        Self::from(&own_pair(delivery))
    }

    /// None: it is read by whoever asks.
    pub(super) fn of(source: &SourceDelivery) -> Option<Self> {
        pair(source).map(Self::from)
    }

    pub(super) fn now(&self) -> Arc<AwsCredential> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// True when they are others.
    fn replace(&self, pair: &KeyPair) -> bool {
        let next = credential(pair);
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let others = **now != next;
        *now = Arc::new(next);
        others
    }
}

impl From<&KeyPair> for Keys {
    fn from(pair: &KeyPair) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(credential(pair)))))
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Ok(self.now())
    }
}

// === impl Renewals ===

impl Renewals {
    pub(in crate::dags) fn new(own: Keys, sources: Vec<Renewal>) -> Self {
        Self { own, sources }
    }

    pub(in crate::dags) fn take(&self, delivery: &DagDelivery) {
        self.own.replace(&own_pair(delivery));
        self.sources.iter().for_each(|source| source.take(delivery));
    }
}

// === impl Renewal ===

impl Renewal {
    pub(super) fn new(folder: &str, keys: &Keys, woken: &Arc<Notify>) -> Self {
        Self {
            folder: folder.to_owned(),
            keys: keys.clone(),
            woken: Arc::clone(woken),
        }
    }

    /// Takes this source's keys from a delivery; other ones have it looked at, for the last may have been refused.
    fn take(&self, delivery: &DagDelivery) {
        let mut sources = delivery.sources.iter();
        let next = sources.find(|source| source.folder == self.folder).and_then(pair);
        if next.is_some_and(|pair| self.keys.replace(pair)) {
            self.woken.notify_one();
        }
    }
}
