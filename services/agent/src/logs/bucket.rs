//! The place in the bucket where a node's logs go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig,
    UpdateVersion,
};
use secrecy::ExposeSecret as _;
use updraft_api::agent::{KeyPair, LogDelivery};
use updraft_api::log_layout::{LogFile, LogKey, LogSource, folder};
use updraft_outbound::{Outbound, OutboundPolicy};

use super::put::There;
use crate::dags::foreign_bucket;
use crate::error::{Error, Result};

const REQUEST_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct LogBucket {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    /// It said that it takes no conditions.
    takes_all: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(crate) enum Put {
    /// Its tag, if the store tells.
    Done(Option<String>),
    /// Something else is there than was thought.
    Refused,
}

// === impl LogBucket ===

impl LogBucket {
    /// # Errors
    /// When the delivery's endpoint makes no sense.
    pub fn connect(delivery: &LogDelivery) -> Result<Self> {
        if delivery.foreign {
            return Self::connect_foreign(delivery);
        }
        // Trying again is the shipper's: it spreads it out and goes on with other files.
        let retry = RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        };
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(REQUEST_WITHIN)
            .with_connect_timeout(Duration::from_secs(5));
        let store = AmazonS3Builder::new()
            .with_endpoint(&delivery.endpoint)
            .with_region(&delivery.region)
            .with_bucket_name(&delivery.bucket)
            .with_access_key_id(&delivery.access_key)
            .with_secret_access_key(delivery.secret_key.expose_secret())
            .with_client_options(options)
            .with_retry(retry)
            .build()
            .map_err(Error::store("be set up for logs"))?;
        Ok(Self::new(Arc::new(store), &delivery.prefix))
    }

    fn connect_foreign(delivery: &LogDelivery) -> Result<Self> {
        let place = (
            Some(delivery.endpoint.as_str()),
            delivery.region.as_str(),
            delivery.bucket.as_str(),
        );
        let keys = KeyPair {
            access_key: delivery.access_key.clone(),
            secret_key: delivery.secret_key.clone(),
            session_token: delivery.session_token.clone(),
        };
        let allow = delivery.outbound_allow.iter();
        let outbound = Outbound::new(OutboundPolicy {
            allow: allow.filter_map(|text| text.parse().ok()).collect(),
            ..OutboundPolicy::default()
        });
        let store = foreign_bucket(place, Some(&keys), &outbound)?;
        Ok(Self::new(store, &delivery.prefix))
    }

    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self {
            store,
            prefix: prefix.to_owned(),
            takes_all: Arc::default(),
        }
    }

    /// In place of what is thought to be there.
    pub(crate) async fn put(&self, key: &LogKey, gzip: Vec<u8>, there: &There) -> Result<Put> {
        let location = location(&key.render(&self.prefix))?;
        let options = PutOptions::from(self.mode(there));
        match self.store.put_opts(&location, gzip.clone().into(), options).await {
            Ok(done) => Ok(Put::Done(done.e_tag)),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(Put::Refused),
            Err(error) if takes_no_conditions(&error) => {
                tracing::warn!("The log bucket takes no conditional requests: the last one counts");
                self.takes_all.store(true, Ordering::Relaxed);
                let put = self.store.put(&location, gzip.into()).await;
                put.map(|_| Put::Done(None)).map_err(Error::store("take a log"))
            }
            Err(error) => Err(Error::store("take a log")(error)),
        }
    }

    fn mode(&self, there: &There) -> PutMode {
        match there {
            _ if self.takes_all.load(Ordering::Relaxed) => PutMode::Overwrite,
            There::Nothing => PutMode::Create,
            There::Known { tag, .. } => PutMode::Update(UpdateVersion {
                e_tag: Some(tag.clone()),
                version: None,
            }),
            There::Something | There::Untold => PutMode::Overwrite,
        }
    }

    /// An object with its tag, if there is one.
    pub(crate) async fn get(&self, key: &LogKey) -> Result<Option<(Option<String>, Bytes)>> {
        let failed = Error::store("give back a log");
        let got = match self.store.get(&location(&key.render(&self.prefix))?).await {
            Ok(got) => got,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let tag = got.meta.e_tag.clone();
        Ok(Some((tag, got.bytes().await.map_err(failed)?)))
    }

    /// Where a file's objects begin, and what each is known by.
    pub(crate) async fn objects(
        &self,
        source: &LogSource,
        file: &LogFile,
    ) -> Result<BTreeMap<u64, Option<String>>> {
        let below = location(&folder(&self.prefix, source, file))?;
        let listed: Vec<_> = self
            .store
            .list(Some(&below))
            .try_collect()
            .await
            .map_err(Error::store("list a log's objects"))?;
        let keys = listed.into_iter().filter_map(|object| {
            let key = LogKey::parse(&self.prefix, object.location.as_ref()).ok()?;
            Some((key.offset, object.e_tag))
        });
        Ok(keys.collect())
    }

    pub(crate) async fn remove(&self, key: &LogKey) -> Result<()> {
        match self.store.delete(&location(&key.render(&self.prefix))?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("remove a packed log")(error)),
        }
    }
}

/// What S3 answers to a header that means nothing to it.
fn takes_no_conditions(error: &StoreError) -> bool {
    match error {
        StoreError::NotImplemented { .. } => true,
        StoreError::Generic { source, .. } => source.to_string().contains("501 Not Implemented"),
        _ => false,
    }
}

/// As it is: what `Path::from` would encode has been escaped already.
fn location(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|_| Error::Logs(format!("`{key}` can't be a key of the bucket")))
}
