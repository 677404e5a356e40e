//! The place in the bucket where a node's logs go.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ClientOptions, Error as StoreError, ObjectStore, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret as _;
use updraft_api::agent::{KeyPair, LogDelivery};
use updraft_api::log_layout::{LogFile, LogKey, LogSource, folder};
use updraft_outbound::{Outbound, OutboundPolicy};

use crate::dags::foreign_bucket;
use crate::error::{Error, Result};

const REQUEST_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct LogBucket {
    store: Arc<dyn ObjectStore>,
    prefix: String,
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
        }
    }

    pub(crate) async fn put(&self, key: &LogKey, gzip: Vec<u8>) -> Result<()> {
        let location = location(&key.render(&self.prefix))?;
        let put = self.store.put(&location, gzip.into()).await;
        put.map(|_| ()).map_err(Error::store("take a log"))
    }

    /// Where a file's objects begin.
    pub(crate) async fn starts(&self, source: &LogSource, file: &LogFile) -> Result<Vec<u64>> {
        let below = location(&folder(&self.prefix, source, file))?;
        let listed: Vec<_> = self
            .store
            .list(Some(&below))
            .try_collect()
            .await
            .map_err(Error::store("list a log's objects"))?;
        let keys = listed
            .iter()
            .filter_map(|object| LogKey::parse(&self.prefix, object.location.as_ref()).ok());
        let mut starts: Vec<u64> = keys.map(|key| key.offset).collect();
        starts.sort_unstable();
        Ok(starts)
    }

    pub(crate) async fn remove(&self, key: &LogKey) -> Result<()> {
        match self.store.delete(&location(&key.render(&self.prefix))?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("remove a packed log")(error)),
        }
    }
}

/// As it is: what `Path::from` would encode has been escaped already.
fn location(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|_| Error::Logs(format!("`{key}` can't be a key of the bucket")))
}
