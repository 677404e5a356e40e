//! Clusters that stop when idle: when they were last used and looked at, and what people were told. The database's clock counts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};

use crate::StoreError;
use crate::error::one_row;

/// What is on record of one cluster that stops when idle.
#[derive(Clone, Debug, PartialEq)]
pub struct IdleRecord {
    pub now: DateTime<Utc>,
    pub used_at: DateTime<Utc>,
    pub looked_at: DateTime<Utc>,
    /// When it stops, as people were told.
    pub stop_at: Option<DateTime<Utc>>,
    /// When it, or what is asked of it, last changed, or DAGs were delivered.
    pub changed_at: DateTime<Utc>,
    /// As the scheduler's node last said.
    pub report: Option<serde_json::Value>,
    /// An edge that served within the last hour says nothing now: who uses what is not known.
    pub misses_edge: bool,
}

/// From now on; what was told is no longer so.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cluster_idleness (cluster_id, tenant_id) values ($2, $1)
         on conflict (cluster_id) do update set looked_at = now(), look_at = now(), stop_at = null",
        tenant.0,
        cluster.0,
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
        "delete from cluster_idleness where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A cluster that is to be looked at, whoever's it is.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_due(connection: &mut PgConnection) -> Result<Option<(TenantId, ClusterId)>, StoreError> {
    let row = sqlx::query!(
        "select tenant_id, cluster_id from cluster_idleness where look_at <= now() order by look_at limit 1"
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (TenantId(row.tenant_id), ClusterId(row.cluster_id))))
}

/// The same once nobody else can act upon it: none when somebody else just did. Lock the cluster first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_due(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Option<IdleRecord>, StoreError> {
    let row = sqlx::query_as!(
        IdleRecord,
        r#"select clock_timestamp() as "now!", i.used_at, i.looked_at, i.stop_at,
                  greatest(c.updated_at,
                      (select max(greatest(o.created_at, o.finished_at)) from operations o
                          where o.tenant_id = c.tenant_id and o.cluster_id = c.id),
                      (select least(v.published_at, now()) from dag_versions v
                          where v.cluster_id = c.id order by v.published_at desc limit 1)) as "changed_at!",
                  (select n.report from nodes n where n.cluster_id = c.id
                      and n.role = 'scheduler' and n.state = 'launched' and n.power = 'run'
                      order by n.created_at desc limit 1) as report,
                  exists (select from edges e where e.seen_at < now() - interval '1 minute'
                      and e.seen_at > now() - interval '1 hour') as "misses_edge!"
           from cluster_idleness i join clusters c on c.id = i.cluster_id and c.tenant_id = i.tenant_id
           where i.tenant_id = $1 and i.cluster_id = $2 and i.look_at <= now() for update of i"#,
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Records a look and what people know after it.
///
/// # Errors
/// [`StoreError::Missing`] when it does not stop when idle.
pub async fn move_on(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    (looked_at, look_at): (DateTime<Utc>, DateTime<Utc>),
    stop_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update cluster_idleness set looked_at = $3, look_at = $4, stop_at = $5
         where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
        looked_at,
        look_at,
        stop_at,
    )
    .execute(connection)
    .await?;
    one_row("idle time", done.rows_affected())
}

/// Notes when clusters were last used, as far as that is wanted; what lies in the future is now.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_uses(
    connection: &mut PgConnection,
    uses: &[(ClusterId, DateTime<Utc>)],
) -> Result<(), StoreError> {
    let (clusters, times): (Vec<_>, Vec<_>) = uses.iter().map(|(cluster, at)| (cluster.0, *at)).unzip();
    sqlx::query!(
        "update cluster_idleness i set used_at = greatest(i.used_at, least(u.used_at, now()))
         from unnest($1::bigint[], $2::timestamptz[]) as u (cluster_id, used_at)
         where i.cluster_id = u.cluster_id",
        &clusters,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}
