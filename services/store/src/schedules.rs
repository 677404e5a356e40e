//! Which cluster's schedule is due, and up to when its times were acted upon. The database's clock counts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};

use crate::StoreError;
use crate::error::one_row;

/// A schedule whose next time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub looked_at: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#)
        .fetch_one(connection)
        .await?;
    Ok(now)
}

/// Another schedule, from now on: what it would have done before is not made up for.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    next_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cluster_schedules (cluster_id, tenant_id, next_at) values ($2, $1, $3)
         on conflict (cluster_id) do update set looked_at = now(), next_at = excluded.next_at",
        tenant.0,
        cluster.0,
        next_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn clear(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from cluster_schedules where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A cluster whose schedule is due, whoever's it is.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_due(connection: &mut PgConnection) -> Result<Option<(TenantId, ClusterId)>, StoreError> {
    let row = sqlx::query!(
        "select tenant_id, cluster_id from cluster_schedules where next_at <= now() order by next_at limit 1"
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (TenantId(row.tenant_id), ClusterId(row.cluster_id))))
}

/// The same once nobody else can act upon it: none when somebody else just did.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_due(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Option<Due>, StoreError> {
    let row = sqlx::query!(
        r#"select looked_at, clock_timestamp() as "now!" from cluster_schedules
           where tenant_id = $1 and cluster_id = $2 and next_at <= now() for update"#,
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Due {
        looked_at: row.looked_at,
        now: row.now,
    }))
}

/// Records up to when its times were acted upon.
///
/// # Errors
/// [`StoreError::Missing`] when it has no schedule.
pub async fn move_on(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    looked_at: DateTime<Utc>,
    next_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update cluster_schedules set looked_at = $3, next_at = $4 where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
        looked_at,
        next_at,
    )
    .execute(connection)
    .await?;
    one_row("schedule", done.rows_affected())
}
