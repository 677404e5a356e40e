//! How far a cluster's secrets, database, storage and network are. Like nodes they are recorded before they are made.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::ClusterId;

use crate::StoreError;
use crate::error::one_row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    Secrets,
    Database,
    Storage,
    Network,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRecord {
    pub attempts: u32,
    pub failure: Option<String>,
    /// Waiting does not help.
    pub refused: bool,
    pub attempted_at: DateTime<Utc>,
    /// None: it may exist in part.
    pub ready_at: Option<DateTime<Utc>>,
    /// The provider's own name of it, where it has one.
    pub provider_id: Option<String>,
}

/// None: there is nothing of that kind.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
) -> Result<Option<ResourceRecord>, StoreError> {
    let row = sqlx::query!(
        "select attempts, failure, refused, attempted_at, ready_at, provider_id
         from cluster_resources where cluster_id = $1 and kind = $2",
        cluster.0,
        kind.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| ResourceRecord {
        attempts: row.attempts.unsigned_abs(),
        failure: row.failure,
        refused: row.refused,
        attempted_at: row.attempted_at,
        ready_at: row.ready_at,
        provider_id: row.provider_id,
    }))
}

/// Records that it is about to be made, or removed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn begin(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cluster_resources (cluster_id, kind, state, attempts) values ($1, $2, 'intended', 1)
         on conflict (cluster_id, kind) do update
         set state = 'intended', ready_at = null, attempted_at = now(), attempts = cluster_resources.attempts + 1,
             failure = null, refused = false",
        cluster.0,
        kind.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that what there is has to be completed again; there may be none.
///
/// # Errors
/// When the database cannot be asked.
pub async fn reopen(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update cluster_resources
         set state = 'intended', ready_at = null, attempts = 0, failure = null, refused = false
         where cluster_id = $1 and kind = $2",
        cluster.0,
        kind.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// [`StoreError::Missing`] when it was never begun.
pub async fn set_ready(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update cluster_resources set state = 'ready', ready_at = now(), attempts = 0, failure = null
         where cluster_id = $1 and kind = $2",
        cluster.0,
        kind.as_str(),
    )
    .execute(connection)
    .await?;
    one_row("resource", done.rows_affected())
}

/// The same for what the provider has its own name of.
///
/// # Errors
/// [`StoreError::Missing`] when it was never begun.
pub async fn set_ready_as(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
    provider_id: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update cluster_resources set provider_id = $3 where cluster_id = $1 and kind = $2",
        cluster.0,
        kind.as_str(),
        provider_id,
    )
    .execute(&mut *connection)
    .await?;
    one_row("resource", done.rows_affected())?;
    set_ready(connection, cluster, kind).await
}

/// # Errors
/// [`StoreError::Missing`] when it was never begun.
pub async fn set_failed(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
    failure: &str,
    refused: bool,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update cluster_resources set failure = $3, refused = $4 where cluster_id = $1 and kind = $2",
        cluster.0,
        kind.as_str(),
        failure,
        refused,
    )
    .execute(connection)
    .await?;
    one_row("resource", done.rows_affected())
}

/// Records that there is nothing left of it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget(
    connection: &mut PgConnection,
    cluster: ClusterId,
    kind: ResourceKind,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from cluster_resources where cluster_id = $1 and kind = $2",
        cluster.0,
        kind.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

// === impl ResourceKind ===

impl ResourceKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Database => "database",
            Self::Storage => "storage",
            Self::Network => "network",
        }
    }
}
