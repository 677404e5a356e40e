//! How many workers each queue is to have now that scales by itself, as the planner decided.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, QueueName, TenantId};

use crate::StoreError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSizeRecord {
    pub queue: QueueName,
    pub workers: u32,
    /// Since when its tasks need fewer, and the most that they needed meanwhile.
    pub fewer: Option<(DateTime<Utc>, u32)>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Vec<QueueSizeRecord>, StoreError> {
    let rows = sqlx::query!(
        "select queue, workers, fewer_since, fewer_most from queue_sizes
         where tenant_id = $1 and cluster_id = $2 order by queue",
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(QueueSizeRecord {
                queue: row
                    .queue
                    .parse()
                    .map_err(|_| StoreError::Corrupt { what: "queue" })?,
                workers: row.workers.unsigned_abs(),
                fewer: row.fewer_since.zip(row.fewer_most.map(i32::unsigned_abs)),
            })
        })
        .collect()
}

/// # Errors
/// When the database cannot be asked.
pub async fn set(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    size: &QueueSizeRecord,
) -> Result<(), StoreError> {
    let number = |number: u32| i32::try_from(number).map_err(|_| StoreError::Corrupt { what: "workers" });
    let most = size.fewer.map(|(_, most)| number(most)).transpose()?;
    sqlx::query!(
        "insert into queue_sizes (cluster_id, tenant_id, queue, workers, fewer_since, fewer_most)
         values ($2, $1, $3, $4, $5, $6)
         on conflict (cluster_id, queue) do update
         set workers = excluded.workers, fewer_since = excluded.fewer_since, fewer_most = excluded.fewer_most",
        tenant.0,
        cluster.0,
        size.queue.as_str(),
        number(size.workers)?,
        size.fewer.map(|(since, _)| since),
        most,
    )
    .execute(connection)
    .await?;
    Ok(())
}
