//! All tenants, as the operator of the installation sees them: how many people and clusters, never which.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::TenantId;

use crate::StoreError;
use crate::error::one_row;
use crate::tenants::{Quota, Tenant, quota, signed};

/// A tenant and how much of it there is.
#[derive(Clone, Debug)]
pub struct TenantRecord {
    pub tenant: Tenant,
    /// Not deleted ones.
    pub clusters: i64,
    pub people: i64,
    pub created_at: DateTime<Utc>,
}

struct Row {
    id: uuid::Uuid,
    name: String,
    max_clusters: i32,
    max_nodes: i32,
    created_at: DateTime<Utc>,
    clusters: i64,
    people: i64,
}

/// Tenants by name, those after `after` first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<TenantRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select t.id, t.name, t.max_clusters, t.max_nodes, t.created_at,
                  (select count(*) from clusters c where c.tenant_id = t.id and c.deleted_at is null) as "clusters!",
                  (select count(*) from memberships m where m.tenant_id = t.id) as "people!"
           from tenants t
           where $1::text is null or t.name > $1
           order by t.name
           limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TenantRecord::try_from).collect()
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<Option<TenantRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select t.id, t.name, t.max_clusters, t.max_nodes, t.created_at,
                  (select count(*) from clusters c where c.tenant_id = t.id and c.deleted_at is null) as "clusters!",
                  (select count(*) from memberships m where m.tenant_id = t.id) as "people!"
           from tenants t
           where t.id = $1"#,
        tenant.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(TenantRecord::try_from).transpose()
}

/// How many tenants there are. Nobody else makes one until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_count(connection: &mut PgConnection) -> Result<i64, StoreError> {
    sqlx::query!("lock table tenants in share row exclusive mode")
        .execute(&mut *connection)
        .await?;
    count(connection).await
}

/// How many tenants there are.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from tenants"#)
        .fetch_one(connection)
        .await?;
    Ok(count)
}

/// # Errors
/// [`StoreError::Missing`] when there is no such tenant.
pub async fn set_quota(
    connection: &mut PgConnection,
    tenant: TenantId,
    quota: Quota,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update tenants set max_clusters = $2, max_nodes = $3 where id = $1",
        tenant.0,
        signed(quota.max_clusters)?,
        signed(quota.max_nodes)?,
    )
    .execute(connection)
    .await?;
    one_row("tenant", done.rows_affected())
}

/// Locks the tenant's row: no cluster is made in it until the transaction ends.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such tenant.
pub async fn lock(connection: &mut PgConnection, tenant: TenantId) -> Result<(), StoreError> {
    let found = sqlx::query_scalar!("select id from tenants where id = $1 for update", tenant.0)
        .fetch_optional(connection)
        .await?;
    found.map(drop).ok_or(StoreError::Missing { what: "tenant" })
}

/// Whether some operator belongs to this tenant and to no other: without it they could not sign in.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_an_operators_only_one(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select exists(
               select from memberships m join users u on u.id = m.user_id and u.operator
               where m.tenant_id = $1 and not exists (
                   select from memberships o where o.user_id = m.user_id and o.tenant_id <> m.tenant_id)) as "is!""#,
        tenant.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(found)
}

/// Deletes a tenant that has no cluster left, with all that is remembered of it but the audit log. Its people stay only
/// where they belong to another tenant.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such tenant; when it still has clusters, a foreign key refuses.
pub async fn delete_empty(connection: &mut PgConnection, tenant: TenantId) -> Result<(), StoreError> {
    sqlx::query!("delete from events where tenant_id = $1", tenant.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("delete from operations where tenant_id = $1", tenant.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "delete from nodes n using clusters c
         where c.id = n.cluster_id and c.tenant_id = $1 and c.deleted_at is not null",
        tenant.0
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from clusters where tenant_id = $1 and deleted_at is not null",
        tenant.0
    )
    .execute(&mut *connection)
    .await?;
    // Sessions, grants, providers, tokens and the directory go with the memberships and the tenant.
    sqlx::query!(
        "delete from users u
         where u.id in (select user_id from memberships where tenant_id = $1)
           and not exists (select from memberships m where m.user_id = u.id and m.tenant_id <> $1)",
        tenant.0
    )
    .execute(&mut *connection)
    .await?;
    let done = sqlx::query!("delete from tenants where id = $1", tenant.0)
        .execute(connection)
        .await?;
    one_row("tenant", done.rows_affected())
}

// === impl TenantRecord ===

impl TryFrom<Row> for TenantRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: Tenant {
                id: TenantId(row.id),
                name: row.name,
                quota: quota(row.max_clusters, row.max_nodes)?,
            },
            clusters: row.clusters,
            people: row.people,
            created_at: row.created_at,
        })
    }
}
