//! What people asked of a cluster's DAGs besides its sources: a look at them now, and a version to stay with.

use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};

use crate::StoreError;
use crate::error::one_row;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagWishes {
    /// Counts asked-for looks at the sources.
    pub sync: i64,
    /// The version that the cluster stays with.
    pub pinned: Option<String>,
}

/// Has the cluster's nodes look at their sources now.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such cluster.
pub async fn sync(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set dag_sync_nonce = dag_sync_nonce + 1
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        cluster.0,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

/// Stays with a version; none: follows the sources again.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such cluster.
pub async fn pin(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    digest: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set dag_pin = $3, dag_sync_nonce = dag_sync_nonce + 1
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        cluster.0,
        digest,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

/// # Errors
/// [`StoreError::Missing`] when there is no such cluster.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<DagWishes, StoreError> {
    let row = sqlx::query_as!(
        DagWishes,
        "select dag_sync_nonce as sync, dag_pin as pinned from clusters
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.ok_or(StoreError::Missing { what: "cluster" })
}
