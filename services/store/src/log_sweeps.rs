//! Which cluster's old logs are to be removed next: each by one process at a time.

use std::time::Duration;

use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};

use crate::StoreError;
use crate::error::one_row;
use crate::leases::interval;

/// A cluster whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub cluster: ClusterId,
    pub tenant: TenantId,
}

/// The one that waits the longest, which is nobody else's for `lease`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn claim(connection: &mut PgConnection, lease: Duration) -> Result<Option<Due>, StoreError> {
    let row = sqlx::query!(
        "insert into log_sweeps (cluster_id, tenant_id, next_at)
         select c.id, c.tenant_id, now() + $1
         from clusters c left join log_sweeps s on s.cluster_id = c.id
         where c.deleted_at is null and c.power <> 'deleted' and (s.next_at is null or s.next_at <= now())
         order by s.next_at nulls first limit 1
         on conflict (cluster_id) do update set next_at = excluded.next_at where log_sweeps.next_at <= now()
         returning cluster_id, tenant_id",
        interval(lease),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Due {
        cluster: ClusterId(row.cluster_id),
        tenant: TenantId(row.tenant_id),
    }))
}

/// Objects were removed; its next turn is after `pause`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn settle(
    connection: &mut PgConnection,
    due: Due,
    removed: i64,
    pause: Duration,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update log_sweeps set swept_at = now(), next_at = now() + $3, removed = removed + $4
         where tenant_id = $1 and cluster_id = $2",
        due.tenant.0,
        due.cluster.0,
        interval(pause),
        removed,
    )
    .execute(connection)
    .await?;
    one_row("log sweep", done.rows_affected())
}
