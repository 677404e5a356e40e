//! Service accounts: programs that are members of one tenant and sign in by API token only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{TenantId, UserId};

use crate::StoreError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub user: UserId,
    pub name: String,
    /// What it is called where people have an address.
    pub email: String,
    pub created_at: DateTime<Utc>,
    /// Tokens that are good now.
    pub tokens: i64,
}

/// An account without password; its membership makes it one of a tenant.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert_user(
    connection: &mut PgConnection,
    user: UserId,
    name: &str,
    email: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into users (id, email, name, origin) values ($1, $2, $3, 'service')",
        user.0,
        email,
        name,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// In the order of their names, those after `after` first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    after: Option<&str>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<ServiceAccount>, StoreError> {
    let rows = sqlx::query!(
        "select u.id, u.name, u.email, m.created_at,
                (select count(*) from api_tokens t
                 where t.tenant_id = $1 and t.user_id = m.user_id and t.revoked_at is null
                   and (t.expires_at is null or t.expires_at > $4)) as \"tokens!\"
         from memberships m join users u on u.id = m.user_id
         where m.tenant_id = $1 and u.origin = 'service' and ($2::text is null or u.name > $2)
         order by u.name
         limit $3",
        tenant.0,
        after,
        limit,
        now,
    )
    .fetch_all(connection)
    .await?;
    let accounts = rows.into_iter().map(|row| ServiceAccount {
        user: UserId(row.id),
        name: row.name,
        email: row.email,
        created_at: row.created_at,
        tokens: row.tokens,
    });
    Ok(accounts.collect())
}

/// The name of a service account of this tenant.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_name(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar!(
        "select u.name from memberships m join users u on u.id = m.user_id
         where m.tenant_id = $1 and m.user_id = $2 and u.origin = 'service'",
        tenant.0,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(name)
}

/// Whether the tenant has a service account of this name. Ask with the tenant locked.
///
/// # Errors
/// When the database cannot be asked.
pub async fn exists(connection: &mut PgConnection, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        "select exists (select from memberships m join users u on u.id = m.user_id
                        where m.tenant_id = $1 and u.origin = 'service' and u.name = $2) as \"found!\"",
        tenant.0,
        name,
    )
    .fetch_one(connection)
    .await?;
    Ok(found)
}
