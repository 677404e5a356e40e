//! Who runs the installation. Written on the control host alone: nothing that a tenant or its identity provider asks
//! for reaches the writes of this file.

use sqlx::PgConnection;
use updraft_model::{SessionId, TenantId, UserId};

use crate::StoreError;
use crate::error::one_row;

/// A person who runs the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub user: UserId,
    pub email: String,
    pub name: String,
}

/// Whether this session is an operator's: a local account that signed in by password. What a tenant's identity
/// provider vouched for never counts, whomever it names.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_operator(
    connection: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select exists(
               select from sessions s join users u on u.id = s.user_id
               where s.tenant_id = $1 and s.id = $2 and s.provider_id is null
                 and u.operator and u.origin = 'local') as "is!""#,
        tenant.0,
        session.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(found)
}

/// Makes a local account an operator, or takes that away.
///
/// # Errors
/// [`StoreError::Missing`] when there is no local account of this address.
pub async fn set(connection: &mut PgConnection, email: &str, operator: bool) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update users set operator = $2 where email = $1 and origin = 'local'",
        email,
        operator,
    )
    .execute(connection)
    .await?;
    one_row("local account of this address", done.rows_affected())
}

/// Makes the tenant's local owner of longest standing an operator if there is none at all.
///
/// # Errors
/// When the database cannot be asked.
pub async fn ensure_one(connection: &mut PgConnection, tenant: TenantId) -> Result<(), StoreError> {
    sqlx::query!(
        "update users set operator = true
         where not exists (select from users where operator)
           and id = (select m.user_id from memberships m join users u on u.id = m.user_id
                     where m.tenant_id = $1 and m.role = 'owner' and m.disabled_at is null and u.origin = 'local'
                     order by m.created_at, m.user_id limit 1)",
        tenant.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn list(connection: &mut PgConnection) -> Result<Vec<Operator>, StoreError> {
    let rows = sqlx::query!("select id, email, name from users where operator order by email")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Operator {
            user: UserId(row.id),
            email: row.email,
            name: row.name,
        })
        .collect())
}
