//! Clients of object stores: the cluster's own, and tenants' behind the outbound policy.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use updraft_api::agent::{DagDelivery, KeyPair, SourceFrom};
use updraft_outbound::Outbound;
use url::Url;

use super::Ground;
use super::judged::Judged;
use super::keys::Keys;
use crate::error::{Error, Result};

const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// The cluster's own bucket, with keys that stay.
pub(crate) fn own_store(delivery: &DagDelivery) -> Result<Arc<dyn ObjectStore>> {
    own_bucket(delivery, Keys::own(delivery))
}

pub(in crate::dags) fn own_bucket(delivery: &DagDelivery, keys: Keys) -> Result<Arc<dyn ObjectStore>> {
    let options = ClientOptions::new()
        .with_allow_http(true)
        .with_timeout(REQUEST_WITHIN)
        .with_connect_timeout(Duration::from_secs(5));
    let store = AmazonS3Builder::new()
        .with_endpoint(&delivery.endpoint)
        .with_region(&delivery.region)
        .with_bucket_name(&delivery.bucket)
        .with_credentials(Arc::new(keys))
        .with_client_options(options)
        .with_retry(retry())
        .build()
        .map_err(Error::store("be set up"))?;
    Ok(Arc::new(store))
}

/// A bucket of the tenant's own.
pub(super) fn foreign_store(
    from: &SourceFrom,
    keys: Option<Keys>,
    ground: &Ground,
) -> Result<Arc<dyn ObjectStore>> {
    let SourceFrom::S3 {
        endpoint,
        region,
        bucket,
        ..
    } = from
    else {
        return Err(Error::Dags("that is no bucket".to_owned()));
    };
    let place = (endpoint.as_deref(), region.as_str(), bucket.as_str());
    opened(place, keys, &ground.outbound)
}

/// The same by endpoint, region and name, with keys that stay.
///
/// # Errors
/// When the endpoint makes no sense, or is not to be asked.
pub fn foreign_bucket(
    place: (Option<&str>, &str, &str),
    credential: Option<&KeyPair>,
    outbound: &Outbound,
) -> Result<Arc<dyn ObjectStore>> {
    opened(place, credential.map(Keys::from), outbound)
}

fn opened(
    (endpoint, region, bucket): (Option<&str>, &str, &str),
    keys: Option<Keys>,
    outbound: &Outbound,
) -> Result<Arc<dyn ObjectStore>> {
    let endpoint = endpoint
        .map(str::to_owned)
        .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let url = Url::parse(&endpoint).map_err(|_| Error::Dags("the endpoint is no address".to_owned()))?;
    let builder = AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_region(region)
        .with_bucket_name(bucket)
        .with_http_connector(Judged::new(outbound, &url, REQUEST_WITHIN)?)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_retry(retry());
    let builder = match keys {
        Some(keys) => builder.with_credentials(Arc::new(keys)),
        None => builder.with_skip_signature(true),
    };
    let store = builder.build().map_err(Error::store("be set up"))?;
    Ok(Arc::new(store))
}

fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(10),
        ..RetryConfig::default()
    }
}
