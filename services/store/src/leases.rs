//! Who may reconcile a cluster now, and what the reconciler alone writes of clusters.
//!
//! A lease is taken with `for update skip locked` and numbered by a fence that grows with each holder. Every write of
//! the reconciler begins with [`hold`] in the same transaction, so that a driver that slept through its lease writes
//! nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;
use updraft_model::{
    AwsAccountId, ClusterId, ClusterName, ClusterSpec, Generation, NodeAccount, Phase, Power, TenantId,
};
use uuid::Uuid;

use crate::StoreError;
use crate::error::{one_row, word};

/// The right to reconcile one cluster for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub cluster: ClusterId,
    pub fence: i64,
    /// When it was taken, by the database's clock.
    pub taken_at: DateTime<Utc>,
    /// What `wake_at` was: a later one was written by somebody who wants another look.
    wake_seen: DateTime<Utc>,
}

/// A cluster as the reconciler reads it.
#[derive(Clone, Debug)]
pub struct ReconciledCluster {
    pub id: ClusterId,
    pub tenant: TenantId,
    /// Where its nodes are, for good.
    pub account: NodeAccount,
    pub name: ClusterName,
    pub spec: ClusterSpec,
    pub generation: Generation,
    pub power: Power,
    pub phase: Phase,
    /// When it was read, by the database's clock: the one that wrote every other time in the records.
    pub now: DateTime<Utc>,
}

/// Takes the lease on a cluster that is due and that nobody holds; the one waiting longest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take_due(
    connection: &mut PgConnection,
    owner: Uuid,
    lasts: Duration,
) -> Result<Option<Lease>, StoreError> {
    let row = sqlx::query!(
        r#"update clusters set lease_owner = $1, lease_until = now() + $2, fence = fence + 1
         where id = (
             select id from clusters
             where deleted_at is null and wake_at <= now() and (lease_until is null or lease_until < now())
             order by wake_at limit 1
             for update skip locked
         )
         returning id, fence, wake_at, now() as "taken_at!""#,
        owner,
        interval(lasts),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Lease {
        cluster: ClusterId(row.id),
        fence: row.fence,
        taken_at: row.taken_at,
        wake_seen: row.wake_at,
    }))
}

/// Makes the cluster due now; somebody who holds its lease looks once more.
///
/// # Errors
/// When the database cannot be asked.
pub async fn wake(connection: &mut PgConnection, cluster: ClusterId) -> Result<(), StoreError> {
    sqlx::query!(
        "update clusters set wake_at = now() where id = $1 and deleted_at is null",
        cluster.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The same of many clusters.
///
/// # Errors
/// When the database cannot be asked.
pub async fn wake_all(connection: &mut PgConnection, clusters: &[ClusterId]) -> Result<(), StoreError> {
    let ids: Vec<_> = clusters.iter().map(|cluster| cluster.0).collect();
    sqlx::query!(
        "update clusters set wake_at = now()
         from (select id from clusters where id = any($1) and deleted_at is null order by id for no key update) as woken
         where clusters.id = woken.id",
        &ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Prolongs a lease that is still held.
///
/// # Errors
/// [`StoreError::Missing`] when it is another's by now.
pub async fn renew(connection: &mut PgConnection, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set lease_until = now() + $3 where id = $1 and fence = $2",
        lease.cluster.0,
        lease.fence,
        interval(lasts),
    )
    .execute(connection)
    .await?;
    one_row("lease", done.rows_affected())
}

/// Locks the cluster against every other holder until the transaction ends.
///
/// # Errors
/// [`StoreError::Missing`] when the lease is another's by now.
pub async fn hold(connection: &mut PgConnection, lease: &Lease) -> Result<(), StoreError> {
    let held = sqlx::query_scalar!(
        "select id from clusters where id = $1 and fence = $2 for no key update",
        lease.cluster.0,
        lease.fence,
    )
    .fetch_optional(connection)
    .await?;
    held.map(|_| ()).ok_or(StoreError::Missing { what: "lease" })
}

/// Gives the lease back. The cluster is due again at `wake_at`, or when somebody asked for a look meanwhile.
///
/// # Errors
/// When the database cannot be asked. A lease that is another's by now is no error.
pub async fn release(
    connection: &mut PgConnection,
    lease: &Lease,
    wake_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update clusters
         set lease_owner = null, lease_until = null, wake_at = case when wake_at = $3 then $4 else wake_at end
         where id = $1 and fence = $2",
        lease.cluster.0,
        lease.fence,
        lease.wake_seen,
        wake_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How long it is until the next cluster is due that nobody holds, or that somebody holds too long; none without any.
/// Read off the index's beginning, however many clusters there are.
///
/// # Errors
/// When the database cannot be asked.
pub async fn next_due(connection: &mut PgConnection) -> Result<Option<TimeDelta>, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from greatest(wake_at, coalesce(lease_until, wake_at)) - now())::float8 as "seconds!"
           from clusters where deleted_at is null and (lease_until is null or lease_until < now() or wake_at > now())
           order by wake_at limit 1"#
    )
    .fetch_optional(connection)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).map_or(TimeDelta::zero(), from_std)))
}

/// The cluster, unless it is deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn load(
    connection: &mut PgConnection,
    cluster: ClusterId,
) -> Result<Option<ReconciledCluster>, StoreError> {
    let row = sqlx::query!(
        r#"select id, tenant_id, aws_account_id, name, spec as "spec: Json<ClusterSpec>", generation, power,
                  phase as "phase: Json<Phase>", now() as "now!"
           from clusters where id = $1 and deleted_at is null"#,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(ReconciledCluster {
            id: ClusterId(row.id),
            tenant: TenantId(row.tenant_id),
            account: NodeAccount::from(row.aws_account_id.map(AwsAccountId)),
            name: row
                .name
                .parse()
                .map_err(|_| StoreError::Corrupt { what: "cluster name" })?,
            spec: row.spec.0,
            generation: Generation(row.generation),
            power: word("power", &row.power)?,
            phase: row.phase.0,
            now: row.now,
        })
    })
    .transpose()
}

/// # Errors
/// [`StoreError::Missing`] when the cluster is deleted.
pub async fn set_phase(
    connection: &mut PgConnection,
    cluster: ClusterId,
    phase: &Phase,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set phase = $2, updated_at = now() where id = $1 and deleted_at is null",
        cluster.0,
        Json(phase) as _,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

/// The cluster is no more; its rows stay for the record.
///
/// # Errors
/// [`StoreError::Missing`] when it is deleted already.
pub async fn mark_deleted(connection: &mut PgConnection, cluster: ClusterId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set deleted_at = now(), updated_at = now() where id = $1 and deleted_at is null",
        cluster.0,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

fn from_std(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

pub(crate) fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval {
        months: 0,
        days: 0,
        microseconds,
    }
}
