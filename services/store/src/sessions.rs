//! Sign-ins. Tokens come and are kept as SHA-256 only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{SessionId, TenantId, TenantRole, UserId};

use crate::StoreError;
use crate::error::word;

/// A session as it is opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub id: SessionId,
    pub token_hash: [u8; 32],
    pub tenant: TenantId,
    pub user: UserId,
    pub expires_at: DateTime<Utc>,
}

/// A session that is neither expired nor revoked, with its person as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    pub id: SessionId,
    pub tenant: TenantId,
    pub user: UserId,
    pub tenant_role: TenantRole,
    pub email: String,
    pub name: String,
    pub expires_at: DateTime<Utc>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(connection: &mut PgConnection, session: &NewSession) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into sessions (id, token_hash, tenant_id, user_id, expires_at) values ($1, $2, $3, $4, $5)",
        session.id.0,
        &session.token_hash[..],
        session.tenant.0,
        session.user.0,
        session.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find_by_token(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>, StoreError> {
    let row = sqlx::query!(
        "select s.id, s.tenant_id, s.user_id, s.expires_at, m.role, u.email, u.name
         from sessions s
         join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id and m.disabled_at is null
         join users u on u.id = s.user_id
         where s.token_hash = $1 and s.revoked_at is null and s.expires_at > $2",
        &token_hash[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(LiveSession {
            id: SessionId(row.id),
            tenant: TenantId(row.tenant_id),
            user: UserId(row.user_id),
            tenant_role: word("tenant role", &row.role)?,
            email: row.email,
            name: row.name,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// # Errors
/// When the database cannot be asked.
pub async fn find_by_id(
    connection: &mut PgConnection,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>, StoreError> {
    let row = sqlx::query!(
        "select s.id, s.tenant_id, s.user_id, s.expires_at, m.role, u.email, u.name
         from sessions s
         join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id and m.disabled_at is null
         join users u on u.id = s.user_id
         where s.id = $1 and s.revoked_at is null and s.expires_at > $2",
        session.0,
        now,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(LiveSession {
            id: SessionId(row.id),
            tenant: TenantId(row.tenant_id),
            user: UserId(row.user_id),
            tenant_role: word("tenant role", &row.role)?,
            email: row.email,
            name: row.name,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// Ends one session; ending it twice is no error.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke(
    connection: &mut PgConnection,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update sessions set revoked_at = $2 where id = $1 and revoked_at is null",
        session.0,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends every other session of a person, in all tenants.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_others(
    connection: &mut PgConnection,
    user: UserId,
    kept: SessionId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $3 where user_id = $1 and id <> $2 and revoked_at is null",
        user.0,
        kept.0,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Sessions that were revoked and whose tokens would still be good otherwise: what edges must refuse.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoked(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from sessions where revoked_at is not null and expires_at > $1 order by id",
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(SessionId).collect())
}

/// Forgets sessions that expired before `before`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn delete_expired(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from sessions where expires_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
