//! Access rules of tenants.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_authz::{AccessRule, Target, Who};
use updraft_model::{RuleId, TenantId, UserId};

use crate::StoreError;
use crate::error::{one_row, text, word};

/// A rule with what is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRecord {
    pub rule: AccessRule,
    /// The person's address; none when they are gone.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    rule: &AccessRule,
    by: UserId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into access_rules (id, tenant_id, who, role, target, created_by) values ($1, $2, $3, $4, $5, $6)",
        rule.id.0,
        tenant.0,
        Json(&rule.who) as _,
        text("cluster role", &rule.role)?,
        Json(&rule.target) as _,
        by.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenant's rules, oldest first: ids are version 7 UUIDs, which sort by time.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(connection: &mut PgConnection, tenant: TenantId) -> Result<Vec<RuleRecord>, StoreError> {
    let rows = sqlx::query!(
        r#"select r.id, r.who as "who: Json<Who>", r.role, r.target as "target: Json<Target>",
                  u.email as "created_by?", r.created_at
           from access_rules r left join users u on u.id = r.created_by
           where r.tenant_id = $1
           order by r.id"#,
        tenant.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RuleRecord {
                rule: AccessRule {
                    id: RuleId(row.id),
                    who: row.who.0,
                    role: word("cluster role", &row.role)?,
                    target: row.target.0,
                },
                created_by: row.created_by,
                created_at: row.created_at,
            })
        })
        .collect()
}

/// The rules alone, for a decision.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_tenant(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<AccessRule>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, who as "who: Json<Who>", role, target as "target: Json<Target>"
           from access_rules where tenant_id = $1 order by id"#,
        tenant.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AccessRule {
                id: RuleId(row.id),
                who: row.who.0,
                role: word("cluster role", &row.role)?,
                target: row.target.0,
            })
        })
        .collect()
}

/// Every tenant's rules, for the picture that edges decide by.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_all_tenants(
    connection: &mut PgConnection,
) -> Result<Vec<(TenantId, AccessRule)>, StoreError> {
    let rows = sqlx::query!(
        r#"select tenant_id, id, who as "who: Json<Who>", role, target as "target: Json<Target>"
           from access_rules order by id"#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let rule = AccessRule {
                id: RuleId(row.id),
                who: row.who.0,
                role: word("cluster role", &row.role)?,
                target: row.target.0,
            };
            Ok((TenantId(row.tenant_id), rule))
        })
        .collect()
}

/// How many rules a tenant has; with [`crate::tenants::lock_quota`] it stays as many.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count(connection: &mut PgConnection, tenant: TenantId) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from access_rules where tenant_id = $1"#,
        tenant.0
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// # Errors
/// [`StoreError::Missing`] when the tenant has no such rule.
pub async fn delete(connection: &mut PgConnection, tenant: TenantId, rule: RuleId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from access_rules where tenant_id = $1 and id = $2",
        tenant.0,
        rule.0
    )
    .execute(connection)
    .await?;
    one_row("access rule", done.rows_affected())
}
