//! Links by which a person sets a password: good once, for a while, for an account that is one tenant's alone.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{TenantId, UserId};

use crate::StoreError;

#[derive(Clone, Debug)]
pub struct NewLink {
    pub hash: [u8; 32],
    pub tenant: TenantId,
    pub user: UserId,
    /// The account has no password yet.
    pub invite: bool,
    pub expires_at: DateTime<Utc>,
}

/// Whose password a good link sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkHolder {
    pub tenant: TenantId,
    pub user: UserId,
    pub email: String,
    pub name: String,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(connection: &mut PgConnection, link: &NewLink) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into password_links (link_hash, tenant_id, user_id, purpose, expires_at) values ($1, $2, $3, $4, $5)",
        &link.hash[..],
        link.tenant.0,
        link.user.0,
        if link.invite { "invite" } else { "reset" },
        link.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a tenant may decide about an account: a local one that no other tenant trusts and that runs no installation.
/// It stays so until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_own_account(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        "select u.id
         from users u join memberships m on m.user_id = u.id
         where u.id = $2 and m.tenant_id = $1 and u.origin = 'local' and not u.operator
           and not exists (select from memberships o where o.user_id = u.id and o.tenant_id <> $1)
         for update of u",
        tenant.0,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// The holder of a link that is still good: what made it so when it was given out has to hold now too.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_live(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<LinkHolder>, StoreError> {
    let row = sqlx::query!(
        "select m.tenant_id, u.id, u.email, u.name
         from password_links l
           join users u on u.id = l.user_id
           join memberships m on m.user_id = l.user_id and m.tenant_id = l.tenant_id
         where l.link_hash = $1 and l.used_at is null and l.expires_at > $2
           and u.origin = 'local' and not u.operator
           and not exists (select from memberships o where o.user_id = u.id and o.tenant_id <> m.tenant_id)
         for update of l, u",
        &hash[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| LinkHolder {
        tenant: TenantId(row.tenant_id),
        user: UserId(row.id),
        email: row.email,
        name: row.name,
    }))
}

/// No link of this person is good any more.
///
/// # Errors
/// When the database cannot be asked.
pub async fn use_up(
    connection: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update password_links set used_at = $2 where user_id = $1 and used_at is null",
        user.0,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_expired(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from password_links where expires_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
