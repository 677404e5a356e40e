//! A cluster's DAG versions and what became of them: published by one node, live on each, read by Airflow.
//!
//! Written from reports, which are bounded before they come here; a worker's word counts for its own node only.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};

use crate::StoreError;

/// One version as people see it.
#[derive(Clone, Debug)]
pub struct VersionRecord {
    pub digest: String,
    pub published_at: DateTime<Utc>,
    pub files: i64,
    pub bytes: i64,
    pub sources: Value,
    pub parsed_at: Option<DateTime<Utc>>,
    pub dags: Option<i32>,
    pub import_errors: Option<Value>,
    /// `[{"node", "at"}]`
    pub arrivals: Value,
}

/// A version as the resolving node published it.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    pub digest: &'a str,
    pub published_at: DateTime<Utc>,
    pub files: i64,
    pub bytes: i64,
    pub sources: Value,
}

/// What Airflow made of a version.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    pub digest: &'a str,
    pub at: DateTime<Utc>,
    pub dags: i32,
    pub import_errors: Value,
}

/// True when this publication was not known yet; an older one than is known changes nothing.
///
/// # Errors
/// When the database cannot be asked.
pub async fn publish(
    connection: &mut PgConnection,
    cluster: ClusterId,
    version: &NewVersion<'_>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into dag_versions as known (cluster_id, digest, published_at, files, bytes, sources)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (cluster_id, digest) do update
         set published_at = excluded.published_at, files = excluded.files, bytes = excluded.bytes,
             sources = excluded.sources
         where known.published_at < excluded.published_at",
        cluster.0,
        version.digest,
        version.published_at,
        version.files,
        version.bytes,
        version.sources,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// True when this reading of a known version was not known yet.
///
/// # Errors
/// When the database cannot be asked.
pub async fn read(
    connection: &mut PgConnection,
    cluster: ClusterId,
    reading: &Reading<'_>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update dag_versions set parsed_at = $3, dags = $4, import_errors = $5
         where cluster_id = $1 and digest = $2
           and (parsed_at is distinct from $3 or dags is distinct from $4 or import_errors is distinct from $5)",
        cluster.0,
        reading.digest,
        reading.at,
        reading.dags,
        reading.import_errors,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A version is live on a node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn arrive(
    connection: &mut PgConnection,
    cluster: ClusterId,
    digest: &str,
    node_label: &str,
    since: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into dag_arrivals (cluster_id, digest, node_label, live_since) values ($1, $2, $3, $4)
         on conflict (cluster_id, digest, node_label) do update set live_since = excluded.live_since",
        cluster.0,
        digest,
        node_label,
        since,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets all but the newest `keep` and the pinned version.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tidy(connection: &mut PgConnection, cluster: ClusterId, keep: i64) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from dag_versions v
         where v.cluster_id = $1
           and v.digest not in (select digest from dag_versions where cluster_id = $1
                                order by published_at desc limit $2)
           and not exists (select from clusters c where c.id = $1 and c.dag_pin = v.digest)",
        cluster.0,
        keep,
    )
    .execute(&mut *connection)
    .await?;
    // What is live but was never published to us is kept while it is among the last that arrived.
    sqlx::query!(
        "delete from dag_arrivals a
         where a.cluster_id = $1
           and not exists (select from dag_versions v where v.cluster_id = $1 and v.digest = a.digest)
           and a.digest not in (select digest from dag_arrivals where cluster_id = $1
                                group by digest order by max(live_since) desc limit $2)",
        cluster.0,
        keep,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Newest first; there are few.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Vec<VersionRecord>, StoreError> {
    let rows = sqlx::query_as!(
        VersionRecord,
        r#"select v.digest, v.published_at, v.files, v.bytes, v.sources, v.parsed_at, v.dags, v.import_errors,
                  coalesce((select jsonb_agg(jsonb_build_object('node', a.node_label, 'at', a.live_since)
                                             order by a.live_since, a.node_label)
                            from dag_arrivals a where a.cluster_id = v.cluster_id and a.digest = v.digest),
                           '[]') as "arrivals!"
           from dag_versions v join clusters c on c.id = v.cluster_id
           where c.tenant_id = $1 and v.cluster_id = $2
           order by v.published_at desc"#,
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
