//! Roles given to people on single clusters.

use std::collections::HashMap;

use sqlx::PgConnection;
use updraft_model::{ClusterId, ClusterRole, TenantId, UserId};

use crate::StoreError;
use crate::error::{one_row, text, word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    pub user: UserId,
    pub email: String,
    pub role: ClusterRole,
}

/// The cluster's grants in the order of people's addresses, those after `after` first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    after: Option<(&str, UserId)>,
    limit: i64,
) -> Result<Vec<GrantRecord>, StoreError> {
    let rows = sqlx::query!(
        "select g.user_id, u.email, g.role
         from cluster_grants g join users u on u.id = g.user_id
         where g.tenant_id = $1 and g.cluster_id = $2 and ($3::text is null or (u.email, u.id) > ($3, $4::uuid))
         order by u.email, u.id
         limit $5",
        tenant.0,
        cluster.0,
        after.map(|(email, _)| email),
        after.map(|(_, user)| user.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let role = word("cluster role", &row.role)?;
            Ok(GrantRecord {
                user: UserId(row.user_id),
                email: row.email,
                role,
            })
        })
        .collect()
}

/// The role a person was given on the cluster.
///
/// # Errors
/// When the database cannot be asked.
pub async fn role(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    user: UserId,
) -> Result<Option<ClusterRole>, StoreError> {
    let role = sqlx::query_scalar!(
        "select role from cluster_grants where tenant_id = $1 and cluster_id = $2 and user_id = $3",
        tenant.0,
        cluster.0,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    role.map(|role| word("cluster role", &role)).transpose()
}

/// All of the cluster's grants.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_cluster(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<HashMap<UserId, ClusterRole>, StoreError> {
    let rows = sqlx::query!(
        "select user_id, role from cluster_grants where tenant_id = $1 and cluster_id = $2",
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((UserId(row.user_id), word("cluster role", &row.role)?)))
        .collect()
}

/// Gives or changes a role. The caller has made sure that the cluster is the tenant's.
///
/// # Errors
/// When the person is no member of the tenant: the foreign key refuses.
pub async fn put(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    user: UserId,
    role: ClusterRole,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cluster_grants (cluster_id, tenant_id, user_id, role) values ($1, $2, $3, $4)
         on conflict (cluster_id, user_id) do update set role = excluded.role",
        cluster.0,
        tenant.0,
        user.0,
        text("cluster role", &role)?,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// [`StoreError::Missing`] when there is no such grant.
pub async fn delete(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    user: UserId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from cluster_grants where tenant_id = $1 and cluster_id = $2 and user_id = $3",
        tenant.0,
        cluster.0,
        user.0
    )
    .execute(connection)
    .await?;
    one_row("grant", done.rows_affected())
}
