//! Links by which a person sets a password: good once, for a while. Those that an owner made are for accounts that are one
//! tenant's alone; one that was mailed, to the account's own address, is for every account that may sign in by password.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{TenantId, UserId};

use crate::StoreError;

#[derive(Clone, Debug)]
pub struct NewLink {
    pub hash: [u8; 32],
    pub user: UserId,
    pub way: Way,
    pub expires_at: DateTime<Utc>,
}

/// How a link comes to its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An owner of this tenant hands it over; the account has no password yet.
    Invite(TenantId),
    /// An owner of this tenant hands it over.
    Reset(TenantId),
    /// It is mailed to the account's own address.
    Mail,
    /// This operator hands it over, for whichever tenants trust the account.
    Operator(UserId),
}

/// Whose password a good link sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkHolder {
    pub tenant: TenantId,
    pub user: UserId,
    pub email: String,
    pub name: String,
}

/// An account that signs in by password, in whichever tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAccount {
    pub user: UserId,
    pub email: String,
    /// Whether it runs the installation.
    pub operator: bool,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(connection: &mut PgConnection, link: &NewLink) -> Result<(), StoreError> {
    let (tenant, operator, purpose) = match link.way {
        Way::Invite(tenant) => (Some(tenant.0), None, "invite"),
        Way::Reset(tenant) => (Some(tenant.0), None, "reset"),
        Way::Mail => (None, None, "reset"),
        Way::Operator(operator) => (None, Some(operator.0), "reset"),
    };
    sqlx::query!(
        "insert into password_links (link_hash, tenant_id, user_id, purpose, expires_at, operator_id)
         values ($1, $2, $3, $4, $5, $6)",
        &link.hash[..],
        tenant,
        link.user.0,
        purpose,
        link.expires_at,
        operator,
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

/// The account that signs in by password with this address, if there is one, and the tenant it signs in to. It stays so
/// until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_for_mail(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<LinkHolder>, StoreError> {
    let row = sqlx::query!(
        "select m.tenant_id, u.id, u.email, u.name
         from users u join memberships m on m.user_id = u.id join tenants t on t.id = m.tenant_id
         where u.email = $1 and u.origin = 'local' and m.disabled_at is null and t.password_sign_in
         order by m.created_at, m.tenant_id
         limit 1
         for update of u",
        email,
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

/// A local account, for an operator. It stays so until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_account(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<LocalAccount>, StoreError> {
    let row = sqlx::query!(
        "select id, email, operator from users where email = $1 and origin = 'local' for update",
        email,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| LocalAccount {
        user: UserId(row.id),
        email: row.email,
        operator: row.operator,
    }))
}

/// How many links were mailed to a person that have not expired, used ones included.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count_mailed(
    connection: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from password_links
         where user_id = $1 and tenant_id is null and operator_id is null and expires_at > $2"#,
        user.0,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// The holder of a link that was mailed, or made by somebody who is an operator still: it is good for who may sign in by
/// password, whichever tenants they belong to.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_live_mailed(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<LinkHolder>, StoreError> {
    let row = sqlx::query!(
        "select m.tenant_id, u.id, u.email, u.name
         from password_links l
           join users u on u.id = l.user_id
           join memberships m on m.user_id = u.id
           join tenants t on t.id = m.tenant_id
         where l.link_hash = $1 and l.tenant_id is null and l.used_at is null and l.expires_at > $2
           and (l.operator_id is null
                or not u.operator and exists (select from users o where o.id = l.operator_id and o.operator))
           and u.origin = 'local' and m.disabled_at is null and t.password_sign_in
         order by m.created_at, m.tenant_id
         limit 1
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

/// The holder of a link by an owner that is still good: what made it so when it was given out has to hold now too.
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
