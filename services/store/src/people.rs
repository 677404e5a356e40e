//! People and their membership in tenants.

use sqlx::PgConnection;
use updraft_model::{TenantId, TenantRole, UserId};

use crate::StoreError;
use crate::error::{one_row, text, word};

/// A person as a member of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    pub email: String,
    pub name: String,
    pub tenant_role: TenantRole,
}

/// What signing in by password needs to know.
#[derive(Clone, Debug)]
pub struct PasswordRecord {
    pub user: UserId,
    /// In PHC string format; none: this person has no password.
    pub password_hash: Option<String>,
}

/// # Errors
/// [`StoreError::Conflict`] on `users_email_key` when the address is taken.
pub async fn insert_user(
    connection: &mut PgConnection,
    user: UserId,
    email: &str,
    name: &str,
    password_hash: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into users (id, email, name, password_hash) values ($1, $2, $3, $4)",
        user.0,
        email,
        name,
        password_hash,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// [`StoreError::Conflict`] when the person is a member already.
pub async fn insert_membership(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    role: TenantRole,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into memberships (tenant_id, user_id, role) values ($1, $2, $3)",
        tenant.0,
        user.0,
        text("tenant role", &role)?,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn password_record(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<PasswordRecord>, StoreError> {
    let row = sqlx::query!(
        "select id, password_hash from users where email = $1 and origin = 'local'",
        email
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| PasswordRecord {
        user: UserId(row.id),
        password_hash: row.password_hash,
    }))
}

/// In PHC string format.
///
/// # Errors
/// When the database cannot be asked.
pub async fn password_hash(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<String>, StoreError> {
    let hash = sqlx::query_scalar!(
        "select password_hash from users where id = $1 and origin = 'local'",
        user.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(hash.flatten())
}

/// # Errors
/// [`StoreError::Missing`] when there is no such person.
pub async fn set_password_hash(
    connection: &mut PgConnection,
    user: UserId,
    password_hash: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update users set password_hash = $2 where id = $1",
        user.0,
        password_hash
    )
    .execute(connection)
    .await?;
    one_row("person", done.rows_affected())
}

/// The tenant a person signs in to by password: of those that allow it, the one they have been a member of for longest.
///
/// # Errors
/// When the database cannot be asked.
pub async fn home_tenant(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<(TenantId, Member)>, StoreError> {
    let row = sqlx::query!(
        "select m.tenant_id, m.role, u.email, u.name
         from memberships m join users u on u.id = m.user_id join tenants t on t.id = m.tenant_id
         where m.user_id = $1 and m.disabled_at is null and t.password_sign_in
         order by m.created_at, m.tenant_id
         limit 1",
        user.0
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let tenant_role = word("tenant role", &row.role)?;
        Ok((
            TenantId(row.tenant_id),
            Member {
                user,
                email: row.email,
                name: row.name,
                tenant_role,
            },
        ))
    })
    .transpose()
}

/// The tenant of the account with this address, if there is one. Asked alike for addresses that are known and not.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tenant_of_address(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<TenantId>, StoreError> {
    let tenant = sqlx::query_scalar!(
        "select m.tenant_id
         from memberships m join users u on u.id = m.user_id
         where u.email = $1 and u.origin = 'local'
         order by m.created_at, m.tenant_id
         limit 1",
        email
    )
    .fetch_optional(connection)
    .await?;
    Ok(tenant.map(TenantId))
}

/// # Errors
/// When the database cannot be asked.
pub async fn find_member(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<Member>, StoreError> {
    let row = sqlx::query!(
        "select m.role, u.email, u.name
         from memberships m join users u on u.id = m.user_id
         where m.tenant_id = $1 and m.user_id = $2",
        tenant.0,
        user.0
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let tenant_role = word("tenant role", &row.role)?;
        Ok(Member {
            user,
            email: row.email,
            name: row.name,
            tenant_role,
        })
    })
    .transpose()
}

/// Members in the order of their addresses, those after `after` first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_members(
    connection: &mut PgConnection,
    tenant: TenantId,
    after: Option<(&str, UserId)>,
    limit: i64,
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query!(
        "select u.id, u.email, u.name, m.role
         from memberships m join users u on u.id = m.user_id
         where m.tenant_id = $1 and ($2::text is null or (u.email, u.id) > ($2, $3::uuid))
         order by u.email, u.id
         limit $4",
        tenant.0,
        after.map(|(email, _)| email),
        after.map(|(_, user)| user.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let tenant_role = word("tenant role", &row.role)?;
            Ok(Member {
                user: UserId(row.id),
                email: row.email,
                name: row.name,
                tenant_role,
            })
        })
        .collect()
}

/// How many owners a tenant has; they stay as many until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_owners(connection: &mut PgConnection, tenant: TenantId) -> Result<usize, StoreError> {
    let owners = sqlx::query_scalar!(
        "select user_id from memberships where tenant_id = $1 and role = 'owner' and disabled_at is null order by user_id for update",
        tenant.0
    )
    .fetch_all(connection)
    .await?;
    Ok(owners.len())
}

/// Ends a membership, with its sessions and grants; a person without any membership left is forgotten.
///
/// # Errors
/// [`StoreError::Missing`] when the person is no member.
pub async fn remove_member(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from memberships where tenant_id = $1 and user_id = $2",
        tenant.0,
        user.0
    )
    .execute(&mut *connection)
    .await?;
    one_row("person", done.rows_affected())?;
    sqlx::query!(
        "delete from users u where u.id = $1 and not exists (select from memberships m where m.user_id = u.id)",
        user.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenant's owner of longest standing: the one `updraft up` acts for on its own machine.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no owner.
pub async fn first_owner(connection: &mut PgConnection, tenant: TenantId) -> Result<UserId, StoreError> {
    let owner = sqlx::query_scalar!(
        "select user_id from memberships where tenant_id = $1 and role = 'owner' and disabled_at is null order by created_at, user_id limit 1",
        tenant.0,
    )
    .fetch_optional(connection)
    .await?;
    owner.map(UserId).ok_or(StoreError::Missing { what: "owner" })
}

/// # Errors
/// [`StoreError::Missing`] when the person is no member.
pub async fn set_tenant_role(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    role: TenantRole,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update memberships set role = $3 where tenant_id = $1 and user_id = $2",
        tenant.0,
        user.0,
        text("tenant role", &role)?,
    )
    .execute(connection)
    .await?;
    one_row("person", done.rows_affected())
}
