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
    AwsAccountId, ClusterId, ClusterName, ClusterSpec, Generation, NodeAccount, OnStop, Phase, Power,
    TenantId,
};
use uuid::Uuid;

use crate::StoreError;
use crate::error::{one_row, word};

/// The right to reconcile one cluster for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub cluster: ClusterId,
    pub fence: i64,
    /// Where the cluster's nodes are.
    pub account: NodeAccount,
    /// When it was taken, by the database's clock.
    pub taken_at: DateTime<Utc>,
    /// What `wake_at` was: a later one was written by somebody who wants another look.
    wake_seen: DateTime<Utc>,
}

/// Accounts whose clusters are left to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Full {
    pub installation: bool,
    pub tenants: Vec<AwsAccountId>,
}

/// A cluster as the reconciler reads it.
#[derive(Clone, Debug)]
pub struct ReconciledCluster {
    pub id: ClusterId,
    pub tenant: TenantId,
    /// Where its nodes are, for good.
    pub account: NodeAccount,
    /// What that account's owner says of machines of stopped clusters.
    pub account_on_stop: Option<OnStop>,
    pub name: ClusterName,
    pub spec: ClusterSpec,
    pub generation: Generation,
    pub power: Power,
    pub phase: Phase,
    /// When it was read, by the database's clock: the one that wrote every other time in the records.
    pub now: DateTime<Utc>,
}

/// Takes the lease on a cluster that is due and that nobody holds, in an account that has a place left; the one waiting
/// longest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take_due(
    connection: &mut PgConnection,
    owner: Uuid,
    lasts: Duration,
    full: &Full,
) -> Result<Option<Lease>, StoreError> {
    let tenants = full.ids();
    let row = sqlx::query!(
        r#"update clusters set lease_owner = $1, lease_until = now() + $2, fence = fence + 1
         where id = (
             select id from clusters
             where deleted_at is null and wake_at <= now() and (lease_until is null or lease_until < now())
               and case when aws_account_id is null then not $3::boolean else aws_account_id <> all($4::uuid[]) end
             order by wake_at limit 1
             for update skip locked
         )
         returning id, fence, aws_account_id, wake_at, now() as "taken_at!""#,
        owner,
        interval(lasts),
        full.installation,
        &tenants,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Lease {
        cluster: ClusterId(row.id),
        fence: row.fence,
        account: NodeAccount::from(row.aws_account_id.map(AwsAccountId)),
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
/// Read off the index's beginning, however many clusters there are. Those in accounts without a place left wait for one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn next_due(connection: &mut PgConnection, full: &Full) -> Result<Option<TimeDelta>, StoreError> {
    let tenants = full.ids();
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from greatest(wake_at, coalesce(lease_until, wake_at)) - now())::float8 as "seconds!"
           from clusters where deleted_at is null and (lease_until is null or lease_until < now() or wake_at > now())
             and case when aws_account_id is null then not $1::boolean else aws_account_id <> all($2::uuid[]) end
           order by wake_at limit 1"#,
        full.installation,
        &tenants,
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
        r#"select c.id, c.tenant_id, c.aws_account_id, c.name, c.spec as "spec: Json<ClusterSpec>", c.generation, c.power,
                  c.phase as "phase: Json<Phase>", now() as "now!",
                  (select a.config ->> 'on_stop' from aws_accounts a
                      where a.tenant_id = c.tenant_id and a.id = c.aws_account_id) as account_on_stop
           from clusters c where c.id = $1 and c.deleted_at is null"#,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(ReconciledCluster {
            id: ClusterId(row.id),
            tenant: TenantId(row.tenant_id),
            account: NodeAccount::from(row.aws_account_id.map(AwsAccountId)),
            account_on_stop: row.account_on_stop.and_then(|word| word.parse().ok()),
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

// === impl Full ===

impl Full {
    fn ids(&self) -> Vec<Uuid> {
        self.tenants.iter().map(|account| account.0).collect()
    }
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
