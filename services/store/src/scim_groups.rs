//! Groups of a tenant's directory (SCIM 2.0, RFC 7643 section 4.2). Only people of the directory are in them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{GroupId, TenantId, UserId};

use crate::StoreError;
use crate::error::one_row;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimGroup {
    pub id: GroupId,
    pub display_name: String,
    pub external_id: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A group as a person's own resource shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOfUser {
    pub user: UserId,
    pub group: GroupId,
    pub display_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub group: GroupId,
    pub user: UserId,
    pub user_name: String,
}

/// All that is given has to be equal; names in any case.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    pub id: Option<GroupId>,
    pub display_name: Option<String>,
    pub external_id: Option<String>,
    pub member: Option<UserId>,
}

struct Row {
    id: uuid::Uuid,
    display_name: String,
    external_id: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// # Errors
/// [`StoreError::Conflict`] on `scim_groups_name` when the directory has a group of that name.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: GroupId,
    display_name: &str,
    external_id: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into scim_groups (tenant_id, id, display_name, external_id) values ($1, $2, $3, $4)",
        tenant.0,
        id.0,
        display_name,
        external_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// As a new version, also when only its members change.
///
/// # Errors
/// [`StoreError::Missing`] when it is no longer at `version`; [`StoreError::Conflict`] on `scim_groups_name`.
pub async fn update(
    connection: &mut PgConnection,
    tenant: TenantId,
    group: &ScimGroup,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update scim_groups
         set display_name = $4, external_id = $5, version = version + 1, updated_at = now()
         where tenant_id = $1 and id = $2 and version = $3",
        tenant.0,
        group.id.0,
        group.version,
        group.display_name,
        group.external_id,
    )
    .execute(connection)
    .await?;
    one_row("version of this group", done.rows_affected())
}

/// With the row locked until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    group: GroupId,
) -> Result<Option<ScimGroup>, StoreError> {
    let found = sqlx::query_as!(
        Row,
        "select id, display_name, external_id, version, created_at, updated_at
         from scim_groups where tenant_id = $1 and id = $2 for update",
        tenant.0,
        group.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(ScimGroup::from))
}

/// How many match in all, and those from the `skip`th on, in the order they came.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    filter: &GroupFilter,
    skip: i64,
    limit: i64,
) -> Result<(i64, Vec<ScimGroup>), StoreError> {
    let total = sqlx::query_scalar!(
        r#"select count(*) as "total!" from scim_groups g
           where g.tenant_id = $1 and ($2::uuid is null or g.id = $2)
             and ($3::text is null or lower(g.display_name) = lower($3))
             and ($4::text is null or g.external_id = $4)
             and ($5::uuid is null or exists (
                 select from scim_group_members m where m.group_id = g.id and m.user_id = $5))"#,
        tenant.0,
        filter.id.map(|id| id.0),
        filter.display_name,
        filter.external_id,
        filter.member.map(|user| user.0),
    )
    .fetch_one(&mut *connection)
    .await?;
    let groups = sqlx::query_as!(
        Row,
        "select g.id, g.display_name, g.external_id, g.version, g.created_at, g.updated_at
         from scim_groups g
         where g.tenant_id = $1 and ($2::uuid is null or g.id = $2)
           and ($3::text is null or lower(g.display_name) = lower($3))
           and ($4::text is null or g.external_id = $4)
           and ($5::uuid is null or exists (
               select from scim_group_members m where m.group_id = g.id and m.user_id = $5))
         order by g.created_at, g.id
         offset $6 limit $7",
        tenant.0,
        filter.id.map(|id| id.0),
        filter.display_name,
        filter.external_id,
        filter.member.map(|user| user.0),
        skip,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok((total, groups.into_iter().map(ScimGroup::from).collect()))
}

/// # Errors
/// [`StoreError::Missing`] when there is no such group.
pub async fn delete(
    connection: &mut PgConnection,
    tenant: TenantId,
    group: GroupId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from scim_groups where tenant_id = $1 and id = $2",
        tenant.0,
        group.0
    )
    .execute(connection)
    .await?;
    one_row("group", done.rows_affected())
}

/// # Errors
/// When the database cannot be asked.
pub async fn members(
    connection: &mut PgConnection,
    tenant: TenantId,
    groups: &[GroupId],
) -> Result<Vec<GroupMember>, StoreError> {
    let rows = sqlx::query!(
        "select m.group_id, m.user_id, s.user_name
         from scim_group_members m
         join scim_users s on s.tenant_id = m.tenant_id and s.user_id = m.user_id
         where m.tenant_id = $1 and m.group_id = any($2)
         order by lower(s.user_name)",
        tenant.0,
        &groups.iter().map(|group| group.0).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| GroupMember {
            group: GroupId(row.group_id),
            user: UserId(row.user_id),
            user_name: row.user_name,
        })
        .collect())
}

/// # Errors
/// When the database cannot be asked.
pub async fn of_users(
    connection: &mut PgConnection,
    tenant: TenantId,
    users: &[UserId],
) -> Result<Vec<GroupOfUser>, StoreError> {
    let rows = sqlx::query!(
        "select m.user_id, g.id, g.display_name
         from scim_group_members m join scim_groups g on g.tenant_id = m.tenant_id and g.id = m.group_id
         where m.tenant_id = $1 and m.user_id = any($2)
         order by lower(g.display_name)",
        tenant.0,
        &users.iter().map(|user| user.0).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| GroupOfUser {
            user: UserId(row.user_id),
            group: GroupId(row.id),
            display_name: row.display_name,
        })
        .collect())
}

/// Makes exactly these people the group's members. People who are not in the tenant's directory are left out; gives how
/// many are in it now.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_members(
    connection: &mut PgConnection,
    tenant: TenantId,
    group: GroupId,
    users: &[UserId],
) -> Result<usize, StoreError> {
    let users: Vec<_> = users.iter().map(|user| user.0).collect();
    sqlx::query!(
        "delete from scim_group_members where tenant_id = $1 and group_id = $2 and user_id <> all($3)",
        tenant.0,
        group.0,
        &users,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into scim_group_members (tenant_id, group_id, user_id)
         select s.tenant_id, $2, s.user_id from scim_users s where s.tenant_id = $1 and s.user_id = any($3)
         on conflict do nothing",
        tenant.0,
        group.0,
        &users,
    )
    .execute(&mut *connection)
    .await?;
    let now = sqlx::query_scalar!(
        r#"select count(*) as "count!" from scim_group_members where tenant_id = $1 and group_id = $2"#,
        tenant.0,
        group.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(now).unwrap_or_default())
}

// === impl ScimGroup ===

impl From<Row> for ScimGroup {
    fn from(row: Row) -> Self {
        Self {
            id: GroupId(row.id),
            display_name: row.display_name,
            external_id: row.external_id,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
