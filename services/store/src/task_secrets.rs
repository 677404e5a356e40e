//! What a cluster's tasks know and nobody is shown. Values lie encrypted, bound to tenant, cluster and name.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::{ClusterId, TenantId};
use uuid::Uuid;

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

/// Without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSecretRecord {
    pub name: String,
    pub set_at: DateTime<Utc>,
}

/// With its value, for nodes of its cluster.
#[derive(Debug)]
pub struct OpenTaskSecret {
    pub name: String,
    pub value: SecretString,
    /// Another one with each value.
    pub revision: Uuid,
}

/// In the order of their names.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Vec<TaskSecretRecord>, StoreError> {
    let records = sqlx::query_as!(
        TaskSecretRecord,
        "select name, set_at from task_secrets where tenant_id = $1 and cluster_id = $2 order by name",
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(records)
}

/// All of a cluster, in the order of their names.
///
/// # Errors
/// When the database cannot be asked, or a secret does not open.
pub async fn open(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Vec<OpenTaskSecret>, SecretError> {
    let rows = sqlx::query!(
        "select name, ciphertext, revision from task_secrets
         where tenant_id = $1 and cluster_id = $2 order by name",
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::from)?;
    let opened = rows.into_iter().map(|row| {
        let value = key.open(&context(tenant, cluster, &row.name), &row.name, &row.ciphertext)?;
        Ok(OpenTaskSecret {
            name: row.name,
            value,
            revision: row.revision,
        })
    });
    opened.collect()
}

/// Writes a secret of a tenant's cluster, whatever was there.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such cluster.
pub async fn put(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    cluster: ClusterId,
    name: &str,
    value: &SecretString,
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(tenant, cluster, name), name, value)?;
    let done = sqlx::query!(
        "insert into task_secrets (cluster_id, tenant_id, name, ciphertext, revision)
         select c.id, c.tenant_id, $3, $4, $5 from clusters c
         where c.tenant_id = $1 and c.id = $2 and c.deleted_at is null
         on conflict (cluster_id, name) do update
         set ciphertext = excluded.ciphertext, revision = excluded.revision, set_at = now()",
        tenant.0,
        cluster.0,
        name,
        sealed,
        Uuid::new_v4(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(one_row("cluster", done.rows_affected())?)
}

/// # Errors
/// [`StoreError::Missing`] when there is none.
pub async fn remove(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    name: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from task_secrets where tenant_id = $1 and cluster_id = $2 and name = $3",
        tenant.0,
        cluster.0,
        name,
    )
    .execute(connection)
    .await?;
    one_row("secret", done.rows_affected())
}

/// All of a cluster that is deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn remove_all(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from task_secrets where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn context(tenant: TenantId, cluster: ClusterId, name: &str) -> String {
    format!("updraft/tenant/{tenant}/cluster/{cluster}/task-secret/{name}")
}
