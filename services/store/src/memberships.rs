//! Which tenants a person belongs to, and whether they are switched off in one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{SessionId, TenantId, TenantRole, UserId};

use crate::StoreError;
use crate::error::{one_row, word};

/// A tenant that a person belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    pub tenant: TenantId,
    pub name: String,
    pub role: TenantRole,
    /// Whether the tenant lets its people sign in with a password of Updraft's own.
    pub password_sign_in: bool,
    /// The longest a session lasts there, in seconds.
    pub session_seconds: Option<i32>,
}

/// The session somebody wants to take to another tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub expires_at: DateTime<Utc>,
    /// A local account that signed in by password: its proof is good in every tenant that takes passwords.
    pub portable: bool,
}

/// Where a person is not switched off, by name.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_person(connection: &mut PgConnection, user: UserId) -> Result<Vec<Belonging>, StoreError> {
    let rows = sqlx::query!(
        "select m.tenant_id, t.name, m.role, t.password_sign_in, t.session_seconds
         from memberships m join tenants t on t.id = m.tenant_id
         where m.user_id = $1 and m.disabled_at is null
         order by t.name",
        user.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Belonging {
                tenant: TenantId(row.tenant_id),
                name: row.name,
                role: word("tenant role", &row.role)?,
                password_sign_in: row.password_sign_in,
                session_seconds: row.session_seconds,
            })
        })
        .collect()
}

/// `None` when the session is not the tenant's, or was ended.
///
/// # Errors
/// When the database cannot be asked.
pub async fn standing(
    connection: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
) -> Result<Option<Standing>, StoreError> {
    let row = sqlx::query!(
        r#"select s.expires_at, (s.provider_id is null and u.origin = 'local') as "portable!"
           from sessions s join users u on u.id = s.user_id
           where s.tenant_id = $1 and s.id = $2 and s.revoked_at is null
           for update of s"#,
        tenant.0,
        session.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Standing {
        expires_at: row.expires_at,
        portable: row.portable,
    }))
}

/// Switches a member off: their sessions end, their tokens are worth nothing until they are switched on again.
///
/// # Errors
/// [`StoreError::Missing`] when the person is no member.
pub async fn disable(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update memberships set disabled_at = coalesce(disabled_at, $3) where tenant_id = $1 and user_id = $2",
        tenant.0,
        user.0,
        now,
    )
    .execute(&mut *connection)
    .await?;
    one_row("person", done.rows_affected())?;
    sqlx::query!(
        "update sessions set revoked_at = $3 where tenant_id = $1 and user_id = $2 and revoked_at is null",
        tenant.0,
        user.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// [`StoreError::Missing`] when the person is no member.
pub async fn enable(connection: &mut PgConnection, tenant: TenantId, user: UserId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update memberships set disabled_at = null where tenant_id = $1 and user_id = $2",
        tenant.0,
        user.0,
    )
    .execute(connection)
    .await?;
    one_row("person", done.rows_affected())
}
