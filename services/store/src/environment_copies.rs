//! Packed environments in clusters' buckets: who holds which, and what exactly came out of the build.
//!
//! What the tenant's clusters take from each other is decided by who was first: as long as one holds what it built, another
//! archive of the same name is its own cluster's alone.

use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};

use crate::StoreError;
use crate::error::one_row;

/// More than an agent keeps.
const MOST: i64 = 12;

/// One archive in one cluster's bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentCopy {
    pub digest: String,
    /// Of the archive, lower-case hex.
    pub sha256: String,
    pub bytes: u64,
    /// Other clusters of the tenant may take it.
    pub shared: bool,
    /// What the package index was shown.
    pub index_credential: Option<String>,
}

/// Whose a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub cluster: ClusterId,
    pub built_by: ClusterId,
    pub copy: EnvironmentCopy,
}

/// Writes down what a cluster holds; whether others may take it too.
///
/// # Errors
/// When the database cannot be asked, or it is no digest.
pub async fn record(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    copy: &EnvironmentCopy,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"with first as (
               select sha256, built_by from environment_copies
               where tenant_id = $1 and digest = $3 and shared and cluster_id <> $2
                   and index_credential is not distinct from $7
               order by recorded_at, cluster_id limit 1
           )
           insert into environment_copies
               (tenant_id, cluster_id, digest, sha256, bytes, shared, index_credential, built_by)
           values ($1, $2, $3, $4, $5, $6 and coalesce((select sha256 = $4 from first), true), $7,
               coalesce((select built_by from first where sha256 = $4), $2))
           on conflict (cluster_id, digest) do update
           set named_at = now(), sha256 = excluded.sha256, bytes = excluded.bytes,
               shared = case when environment_copies.sha256 = excluded.sha256
                   then environment_copies.shared else excluded.shared end,
               index_credential = case when environment_copies.sha256 = excluded.sha256
                   then environment_copies.index_credential else excluded.index_credential end,
               built_by = case when environment_copies.sha256 = excluded.sha256
                   then environment_copies.built_by else excluded.built_by end,
               recorded_at = case when environment_copies.sha256 = excluded.sha256
                   then environment_copies.recorded_at else now() end
           where environment_copies.tenant_id = $1
           returning shared"#,
        tenant.0,
        cluster.0,
        copy.digest,
        copy.sha256,
        i64::try_from(copy.bytes).unwrap_or(i64::MAX),
        copy.shared,
        copy.index_credential,
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from environment_copies where tenant_id = $1 and cluster_id = $2 and digest not in (
             select digest from environment_copies where tenant_id = $1 and cluster_id = $2
             order by named_at desc, digest limit $3)",
        tenant.0,
        cluster.0,
        MOST,
    )
    .execute(connection)
    .await?;
    Ok(row.shared)
}

/// Whether the cluster is known to hold it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_recorded(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    digest: &str,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"select exists (select 1 from environment_copies
           where tenant_id = $1 and cluster_id = $2 and digest = $3) as "is!""#,
        tenant.0,
        cluster.0,
        digest,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.is)
}

/// Copies that a cluster may take: its own first, then those that other clusters of its tenant share, the first there was
/// before all others.
///
/// # Errors
/// When the database cannot be asked.
pub async fn holders(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    digest: &str,
) -> Result<Vec<Holder>, StoreError> {
    let rows = sqlx::query!(
        "select e.cluster_id, e.digest, e.sha256, e.bytes, e.shared, e.index_credential, e.built_by
         from environment_copies e join clusters c on c.id = e.cluster_id
         where e.tenant_id = $1 and c.tenant_id = $1 and e.digest = $3 and c.deleted_at is null
             and (e.cluster_id = $2 or e.shared)
         order by e.cluster_id <> $2, e.recorded_at, e.cluster_id",
        tenant.0,
        cluster.0,
        digest,
    )
    .fetch_all(connection)
    .await?;
    let holders = rows.into_iter().map(|row| Holder {
        cluster: ClusterId(row.cluster_id),
        built_by: ClusterId(row.built_by),
        copy: EnvironmentCopy {
            digest: row.digest,
            sha256: row.sha256,
            bytes: row.bytes.unsigned_abs(),
            shared: row.shared,
            index_credential: row.index_credential,
        },
    });
    Ok(holders.collect())
}

/// It is not there any more.
///
/// # Errors
/// [`StoreError::Missing`] when it was not known either.
pub async fn forget(
    connection: &mut PgConnection,
    tenant: TenantId,
    holder: &Holder,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from environment_copies where tenant_id = $1 and cluster_id = $2 and digest = $3 and sha256 = $4",
        tenant.0,
        holder.cluster.0,
        holder.copy.digest,
        holder.copy.sha256,
    )
    .execute(connection)
    .await?;
    one_row("copy of an environment", done.rows_affected())
}

/// The cluster is deleted, and its bucket with it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget_cluster(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from environment_copies where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
