//! Old logs go: cluster after cluster, each as its spec says.

use std::time::Duration;

use chrono::TimeDelta;
use thiserror::Error;
use updraft_logs::LogsError;
use updraft_model::ClusterId;
use updraft_store::clusters;
use updraft_store::log_sweeps::{self, Due};

use crate::{App, AppError};

/// Between looks at one cluster's logs: a look lists all of them, a request for each thousand objects.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// After a look that failed, or was broken off.
const AGAIN: Duration = Duration::from_secs(30 * 60);
/// One look.
const WITHIN: Duration = Duration::from_secs(20 * 60);

/// A cluster's old logs could not be removed, this time.
#[derive(Debug, Error)]
pub enum LogSweepError {
    #[error("old logs could not be looked for")]
    App(#[from] AppError),
    #[error("old logs of cluster {cluster} could not be removed")]
    Bucket { cluster: ClusterId, source: LogsError },
}

impl App {
    /// Removes one cluster's logs that are older than it keeps them; none: nobody's turn has come.
    ///
    /// # Errors
    /// [`LogSweepError`]: the cluster has its turn again in half an hour, others before.
    pub async fn sweep_logs(&self) -> Result<Option<u64>, LogSweepError> {
        let Some(due) = self.claim_log_sweep().await? else {
            return Ok(None);
        };
        let removed = self.remove_old_logs(due).await?;
        let objects = i64::try_from(removed).unwrap_or(i64::MAX);
        let mut connection = self.store().connection().await.map_err(AppError::from)?;
        log_sweeps::settle(&mut connection, due, objects, EVERY)
            .await
            .map_err(AppError::from)?;
        tracing::info!(cluster.id = %due.cluster, objects, "old logs were removed");
        Ok(Some(removed))
    }

    async fn claim_log_sweep(&self) -> Result<Option<Due>, AppError> {
        let mut connection = self.store().connection().await?;
        Ok(log_sweeps::claim(&mut connection, AGAIN).await?)
    }

    async fn remove_old_logs(&self, due: Due) -> Result<u64, LogSweepError> {
        let Due { cluster, tenant } = due;
        let mut connection = self.store().connection().await.map_err(AppError::from)?;
        let spec = clusters::spec(&mut connection, tenant, cluster)
            .await
            .map_err(AppError::from)?;
        let Some(spec) = spec else { return Ok(0) };
        let place = self
            .log_place(&mut connection, (tenant, cluster), &spec.logs)
            .await?;
        drop(connection);
        let Some(place) = place else { return Ok(0) };
        let bucket = self.log_reader().bucket(cluster, &place)?;
        let before = self.now() - TimeDelta::days(i64::from(spec.logs.retention_days));
        let looked = updraft_logs::remove_old(&*bucket, &place.prefix, before);
        let looked = tokio::time::timeout(WITHIN, looked).await;
        let removed = looked.unwrap_or(Err(LogsError::Interrupted));
        removed.map_err(|source| LogSweepError::Bucket { cluster, source })
    }
}
