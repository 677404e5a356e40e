//! Has the sessions with which nodes open their clusters' buckets replaced before they end, for ever.
//!
//! A session lies where keys would, encrypted, and comes to nodes with their next assignment. Several control processes may
//! do it: the last one's is used.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use updraft_model::ClusterId;
use updraft_provider::{ProviderError, StorageAccess};
use updraft_store::secrets::{self, MasterKey, SecretError};
use updraft_store::{Store, StoreError};

use crate::reconciler::secret;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// A session lasts an hour: nodes have one for half of it, whatever happens to control or its cloud.
const RENEWED_AFTER: TimeDelta = TimeDelta::minutes(28);

/// Where sessions come from.
#[async_trait]
pub trait StorageSessions: Send + Sync {
    /// A new one for the cluster's bucket, which is there.
    async fn open(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError>;
}

#[derive(Debug, Error)]
pub enum RenewalError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("no session could be had")]
    Provider(#[from] ProviderError),
    #[error("a session cannot be written down")]
    Encode(#[from] serde_json::Error),
}

/// Renews them one after the other.
pub struct Renewal {
    pub store: Store,
    pub master_key: Arc<MasterKey>,
    pub sessions: Arc<dyn StorageSessions>,
}

// === impl Renewal ===

impl Renewal {
    pub async fn run(self, shutdown: CancellationToken) {
        let forever = async {
            loop {
                if let Err(error) = self.renew(RENEWED_AFTER).await {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "sessions of storage could not be looked after"
                    );
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// All that are so old. One that fails holds up no other.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn renew(&self, age: TimeDelta) -> Result<(), RenewalError> {
        let mut connection = self.store.connection().await?;
        let aged = secrets::aged(&mut connection, secret::STORAGE, Utc::now() - age).await?;
        drop(connection);
        for cluster in aged {
            if let Err(error) = self.renew_one(cluster).await {
                tracing::warn!(
                    cluster.id = cluster.0,
                    error = &error as &dyn Error,
                    "a cluster's session of storage will end if this goes on"
                );
            }
        }
        Ok(())
    }

    async fn renew_one(&self, cluster: ClusterId) -> Result<(), RenewalError> {
        let access = self.sessions.open(cluster).await?;
        let access = serde_json::to_string(&access)?.into();
        let mut connection = self.store.connection().await?;
        secrets::replace(
            &mut connection,
            &self.master_key,
            cluster,
            secret::STORAGE,
            &access,
        )
        .await?;
        Ok(())
    }
}
