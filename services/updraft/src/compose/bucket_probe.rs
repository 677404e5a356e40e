//! Whether nodes will be able to keep their cluster's files: tried as one of them before any is paid for.

use std::time::Duration;

use anyhow::anyhow;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ClientOptions, Error, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret as _;
use updraft_provider::StorageAccess;

/// Beside `dags/` and `logs/`, and gone at once.
const PROBE: &str = "updraft-probe";
const WITHIN: Duration = Duration::from_secs(10);

/// Writes and removes an object with what nodes are given.
pub(super) async fn probe(access: &StorageAccess) -> anyhow::Result<()> {
    let options = ClientOptions::new().with_allow_http(true).with_timeout(WITHIN);
    let retry = RetryConfig {
        max_retries: 2,
        retry_timeout: WITHIN,
        ..RetryConfig::default()
    };
    let store = AmazonS3Builder::new()
        .with_endpoint(&access.endpoint)
        .with_region(&access.region)
        .with_bucket_name(&access.bucket)
        .with_access_key_id(&access.access_key)
        .with_secret_access_key(access.secret_key.expose_secret())
        .with_retry(retry)
        .with_client_options(options);
    let store = match &access.session_token {
        Some(token) => store.with_token(token.expose_secret()),
        None => store,
    };
    let (store, key) = (store.build()?, Path::from(PROBE));
    let put = store.put(&key, Vec::new().into()).await;
    put.map_err(|error| said("write to", &access.bucket, &error))?;
    let removed = store.delete(&key).await;
    removed.map_err(|error| said("remove anything from", &access.bucket, &error))
}

fn said(what: &str, bucket: &str, error: &Error) -> anyhow::Error {
    match error {
        // A store's own words are a page of XML.
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => anyhow!(
            "nodes may not {what} the bucket {bucket}: allow s3:PutObject, s3:GetObject and s3:DeleteObject on its objects to \
             what `node_keys` names, and the use of its KMS key, if it has one"
        ),
        other => anyhow!("nodes could not {what} the bucket {bucket}: {other}"),
    }
}
