//! People as a tenant's directory keeps them (SCIM 2.0, RFC 7643 section 4.1).
//!
//! A row here is a person of origin `directory`: neither a local account nor a service account ever has one, so that
//! nothing a directory sends can touch them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use updraft_model::{TenantId, UserId};

use crate::StoreError;
use crate::error::one_row;

#[derive(Clone, Debug, PartialEq)]
pub struct ScimUser {
    pub user: UserId,
    pub user_name: String,
    pub external_id: Option<String>,
    /// The resource's other attributes, as they came.
    pub attributes: Value,
    pub active: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a directory says of a person.
#[derive(Clone, Debug)]
pub struct ScimPerson<'a> {
    pub user_name: &'a str,
    pub external_id: Option<&'a str>,
    pub attributes: &'a Value,
    /// In lower case.
    pub email: &'a str,
    pub name: &'a str,
}

/// All that is given has to be equal; names in any case.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    pub id: Option<UserId>,
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub active: Option<bool>,
}

struct Row {
    user_id: uuid::Uuid,
    user_name: String,
    external_id: Option<String>,
    attributes: Value,
    active: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Which of the tenant's people came from its directory or identity provider with this address and are not in the
/// directory now: someone who signed in before the directory told of them, or whom it deleted and brings back.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_adoptable(
    connection: &mut PgConnection,
    tenant: TenantId,
    email: &str,
) -> Result<Option<UserId>, StoreError> {
    let found = sqlx::query_scalar!(
        "select u.id from users u join memberships m on m.user_id = u.id
         where m.tenant_id = $1 and u.origin = 'directory' and u.email = $2
           and not exists (select from scim_users s where s.tenant_id = $1 and s.user_id = u.id)
           -- An address that somebody only says is theirs makes them nobody else. Entra vouches for none; who is in its
           -- directory has no say in theirs.
           and not exists (
               select from identities i join identity_providers p on p.tenant_id = i.tenant_id and p.id = i.provider_id
               where i.tenant_id = $1 and i.user_id = u.id and not i.email_verified
                 and p.config ->> 'preset' is distinct from 'entra')
         order by m.created_at, u.id limit 1",
        tenant.0,
        email,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(UserId))
}

/// A new person of the tenant's directory, as a member. The caller adds them to the directory with [`insert`].
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert_person(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    person: &ScimPerson<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into users (id, email, name, origin) values ($1, $2, $3, 'directory')",
        user.0,
        person.email,
        person.name,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into memberships (tenant_id, user_id, role) values ($1, $2, 'member')",
        tenant.0,
        user.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// [`StoreError::Conflict`] on `scim_users_name` when the directory has somebody of that name.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    person: &ScimPerson<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into scim_users (tenant_id, user_id, user_name, external_id, attributes)
         values ($1, $2, $3, $4, $5)",
        tenant.0,
        user.0,
        person.user_name,
        person.external_id,
        person.attributes,
    )
    .execute(&mut *connection)
    .await?;
    rename(connection, tenant, user, person).await
}

/// Writes what the directory says now, as a new version.
///
/// # Errors
/// [`StoreError::Missing`] when it is no longer at `version`; [`StoreError::Conflict`] on `scim_users_name`.
pub async fn update(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    version: i64,
    person: &ScimPerson<'_>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update scim_users
         set user_name = $4, external_id = $5, attributes = $6, version = version + 1, updated_at = now()
         where tenant_id = $1 and user_id = $2 and version = $3",
        tenant.0,
        user.0,
        version,
        person.user_name,
        person.external_id,
        person.attributes,
    )
    .execute(&mut *connection)
    .await?;
    one_row("version of this person", done.rows_affected())?;
    rename(connection, tenant, user, person).await
}

/// The person's address and name follow the directory; an account of another origin does not.
async fn rename(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    person: &ScimPerson<'_>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update users u set email = $3, name = $4
         from memberships m
         where m.tenant_id = $1 and m.user_id = u.id and u.id = $2 and u.origin = 'directory'",
        tenant.0,
        user.0,
        person.email,
        person.name,
    )
    .execute(connection)
    .await?;
    one_row("person of the directory", done.rows_affected())
}

/// With the row locked until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<ScimUser>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select s.user_id, s.user_name, s.external_id, s.attributes, m.disabled_at is null as "active!",
                  s.version, s.created_at, s.updated_at
           from scim_users s join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
           where s.tenant_id = $1 and s.user_id = $2
           for update"#,
        tenant.0,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ScimUser::from))
}

/// How many match in all, and those from the `skip`th on, in the order they came.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    filter: &UserFilter,
    skip: i64,
    limit: i64,
) -> Result<(i64, Vec<ScimUser>), StoreError> {
    let total = count(&mut *connection, tenant, filter).await?;
    let rows = sqlx::query_as!(
        Row,
        r#"select s.user_id, s.user_name, s.external_id, s.attributes, m.disabled_at is null as "active!",
                  s.version, s.created_at, s.updated_at
           from scim_users s
           join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
           join users u on u.id = s.user_id
           where s.tenant_id = $1 and ($2::uuid is null or s.user_id = $2)
             and ($3::text is null or lower(s.user_name) = lower($3))
             and ($4::text is null or s.external_id = $4)
             and ($5::text is null or u.email = lower($5))
             and ($6::bool is null or (m.disabled_at is null) = $6)
           order by s.created_at, s.user_id
           offset $7 limit $8"#,
        tenant.0,
        filter.id.map(|id| id.0),
        filter.user_name,
        filter.external_id,
        filter.email,
        filter.active,
        skip,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok((total, rows.into_iter().map(ScimUser::from).collect()))
}

async fn count(
    connection: &mut PgConnection,
    tenant: TenantId,
    filter: &UserFilter,
) -> Result<i64, StoreError> {
    let total = sqlx::query_scalar!(
        r#"select count(*) as "total!"
           from scim_users s
           join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
           join users u on u.id = s.user_id
           where s.tenant_id = $1 and ($2::uuid is null or s.user_id = $2)
             and ($3::text is null or lower(s.user_name) = lower($3))
             and ($4::text is null or s.external_id = $4)
             and ($5::text is null or u.email = lower($5))
             and ($6::bool is null or (m.disabled_at is null) = $6)"#,
        tenant.0,
        filter.id.map(|id| id.0),
        filter.user_name,
        filter.external_id,
        filter.email,
        filter.active,
    )
    .fetch_one(connection)
    .await?;
    Ok(total)
}

/// Takes a person out of the directory and its groups. They stay a member, for what they did; the caller switches them
/// off.
///
/// # Errors
/// [`StoreError::Missing`] when the directory has no such person.
pub async fn delete(connection: &mut PgConnection, tenant: TenantId, user: UserId) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from scim_group_members where tenant_id = $1 and user_id = $2",
        tenant.0,
        user.0
    )
    .execute(&mut *connection)
    .await?;
    let done = sqlx::query!(
        "delete from scim_users where tenant_id = $1 and user_id = $2",
        tenant.0,
        user.0
    )
    .execute(connection)
    .await?;
    one_row("person of the directory", done.rows_affected())
}

// === impl ScimUser ===

impl From<Row> for ScimUser {
    fn from(row: Row) -> Self {
        Self {
            user: UserId(row.user_id),
            user_name: row.user_name,
            external_id: row.external_id,
            attributes: row.attributes,
            active: row.active,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
