//! Customer organisations and what they may use.

use sqlx::PgConnection;
use updraft_model::TenantId;

use crate::StoreError;

#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub quota: Quota,
}

/// What one tenant may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub max_clusters: u32,
    /// Nodes of clusters that are asked to run.
    pub max_nodes: u32,
}

/// # Errors
/// [`StoreError::Conflict`] on `tenants_name_key` when the name is taken.
pub async fn insert(connection: &mut PgConnection, tenant: &Tenant) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into tenants (id, name, max_clusters, max_nodes) values ($1, $2, $3, $4)",
        tenant.id.0,
        tenant.name,
        signed(tenant.quota.max_clusters)?,
        signed(tenant.quota.max_nodes)?,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(connection: &mut PgConnection, tenant: TenantId) -> Result<Option<Tenant>, StoreError> {
    let row = sqlx::query!(
        "select id, name, max_clusters, max_nodes from tenants where id = $1",
        tenant.0
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Tenant {
            id: TenantId(row.id),
            name: row.name,
            quota: quota(row.max_clusters, row.max_nodes)?,
        })
    })
    .transpose()
}

/// # Errors
/// When the database cannot be asked.
pub async fn find_by_name(connection: &mut PgConnection, name: &str) -> Result<Option<Tenant>, StoreError> {
    let row = sqlx::query!(
        "select id, name, max_clusters, max_nodes from tenants where name = $1",
        name
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Tenant {
            id: TenantId(row.id),
            name: row.name,
            quota: quota(row.max_clusters, row.max_nodes)?,
        })
    })
    .transpose()
}

/// The tenant's quota, locked until the transaction ends: what is counted against it cannot grow meanwhile.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such tenant.
pub async fn lock_quota(connection: &mut PgConnection, tenant: TenantId) -> Result<Quota, StoreError> {
    let row = sqlx::query!(
        "select max_clusters, max_nodes from tenants where id = $1 for no key update",
        tenant.0
    )
    .fetch_optional(connection)
    .await?
    .ok_or(StoreError::Missing { what: "tenant" })?;
    quota(row.max_clusters, row.max_nodes)
}

pub(crate) fn quota(max_clusters: i32, max_nodes: i32) -> Result<Quota, StoreError> {
    let unsigned = |number: i32| u32::try_from(number).map_err(|_| StoreError::Corrupt { what: "quota" });
    Ok(Quota {
        max_clusters: unsigned(max_clusters)?,
        max_nodes: unsigned(max_nodes)?,
    })
}

pub(crate) fn signed(number: u32) -> Result<i32, StoreError> {
    i32::try_from(number).map_err(|_| StoreError::Corrupt { what: "quota" })
}
