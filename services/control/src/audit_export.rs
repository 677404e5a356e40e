//! Copies the audit log to S3, for whoever must keep it where nobody of Updraft can change it.
//!
//! `audit/<tenant>/<yyyy>/<mm>/<dd>/<first id>-<last id>.ndjson.gz`, the day (UTC) being that of the first line; lines
//! of nobody in particular are under `audit/installation/`. Each line is as `GET /audit.ndjson` gives it, each is in
//! exactly one object, and objects in the order of their ids are the log:
//!
//! ```text
//! aws s3 cp --recursive s3://updraft-audit/audit/<tenant>/2026/11/ . && zcat */*.ndjson.gz
//! ```
//!
//! What is sent is decided and committed before it is sent, so that a crash in between sends the same object again.
//! While S3 is away nothing is lost: the log itself stays where it is.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use updraft_app::audit::entry;
use updraft_model::TenantId;
use updraft_store::audit_exports::{self, Batch, Cut};
use updraft_store::audit_log::{self, Filter, Line};
use updraft_store::{Store, StoreError};

/// A line is there at most this long after it was written, and a little.
const EVERY: Duration = Duration::from_secs(120);
/// Lines in one object.
const AT_ONCE: i64 = 5_000;
/// Longer than any object takes; afterwards another process may send it.
const LEASE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Where the objects go.
#[async_trait]
pub trait AuditBucket: Send + Sync {
    /// Puts an object, whether or not it is there already.
    ///
    /// # Errors
    /// In words for the log, when it may not be there.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), String>;
}

#[derive(Debug, Error)]
pub enum AuditExportError {
    #[error("the audit log could not be read")]
    Store(#[from] StoreError),
    #[error("lines could not be packed")]
    Pack(#[from] std::io::Error),
    #[error("object storage did not take `{key}`: {why}")]
    Bucket { key: String, why: String },
}

/// Does it, over and over.
#[derive(Clone)]
pub struct AuditExport {
    store: Store,
    bucket: Arc<dyn AuditBucket>,
    /// How long to wait for those who write to the log just now.
    patience: Duration,
}

// === impl AuditExport ===

impl AuditExport {
    #[must_use]
    pub fn new(store: Store, bucket: Arc<dyn AuditBucket>) -> Self {
        Self {
            store,
            bucket,
            patience: Duration::from_secs(10),
        }
    }

    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub async fn run(self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let forever = async {
            loop {
                match self.round().await {
                    Ok(_) => pause = EVERY,
                    Err(error) => {
                        pause = (pause * 2).clamp(FIRST_PAUSE, EVERY);
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            next_try_ms = pause.as_millis(),
                            "the audit log was not copied to object storage"
                        );
                    }
                }
                tokio::time::sleep(pause).await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Copies what is new, and says how many objects that were.
    ///
    /// # Errors
    /// When the database or the bucket is away: nothing is lost, and the next round goes on from there.
    pub async fn round(&self) -> Result<usize, AuditExportError> {
        let Some(cut) = self.complete_cut().await? else {
            return Ok(0);
        };
        let tenants = {
            let mut connection = self.store.connection().await?;
            audit_exports::tenants(&mut connection).await?
        };
        let mut sent = 0;
        for tenant in tenants {
            while let Some(batch) = self.claim(tenant, &cut).await? {
                self.send(batch).await?;
                sent += 1;
            }
        }
        Ok(sent)
    }

    /// Waits a while for those who are writing. None: somebody takes longer; the next round looks again.
    async fn complete_cut(&self) -> Result<Option<Cut>, StoreError> {
        let mut connection = self.store.connection().await?;
        let cut = audit_exports::cut(&mut connection).await?;
        let begun = tokio::time::Instant::now();
        while !audit_exports::is_complete(&mut connection, &cut).await? {
            if begun.elapsed() >= self.patience {
                tracing::info!("somebody is still writing to the audit log: it is copied later");
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Some(cut))
    }

    async fn claim(&self, tenant: Option<TenantId>, cut: &Cut) -> Result<Option<Batch>, StoreError> {
        let mut tx = self.store.begin().await?;
        let batch = audit_exports::claim(&mut tx, tenant, cut, AT_ONCE, LEASE).await?;
        tx.commit().await?;
        Ok(batch)
    }

    async fn send(&self, batch: Batch) -> Result<(), AuditExportError> {
        let sent = self.put(batch).await;
        let mut connection = self.store.connection().await?;
        match &sent {
            Ok(()) => audit_exports::settle(&mut connection, batch).await?,
            Err(_) => audit_exports::release(&mut connection, batch).await?,
        }
        sent
    }

    async fn put(&self, batch: Batch) -> Result<(), AuditExportError> {
        let lines = {
            let mut connection = self.store.connection().await?;
            let all = Filter::default();
            audit_log::list_after(&mut connection, batch.tenant, &all, batch.after, AT_ONCE).await?
        };
        let lines: Vec<_> = lines
            .into_iter()
            .take_while(|line| line.id <= batch.up_to)
            .collect();
        let Some(first) = lines.first() else {
            return Err(StoreError::Missing {
                what: "line of the audit log",
            }
            .into());
        };
        let key = key(batch, first);
        let bytes = packed(lines)?;
        let put = self.bucket.put(&key, bytes).await;
        put.map_err(|why| AuditExportError::Bucket { key, why })
    }
}

fn key(batch: Batch, first: &Line) -> String {
    let whose = batch
        .tenant
        .map_or_else(|| "installation".to_owned(), |tenant| tenant.to_string());
    let day: DateTime<Utc> = first.at;
    let (first, last) = (first.id, batch.up_to);
    format!(
        "audit/{whose}/{}/{first}-{last}.ndjson.gz",
        day.format("%Y/%m/%d")
    )
}

/// The same bytes for the same lines: no time of packing is in them.
fn packed(lines: Vec<Line>) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for line in lines {
        serde_json::to_writer(&mut gzip, &entry(line))?;
        gzip.write_all(b"\n")?;
    }
    gzip.finish()
}
