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
    /// To the minute.
    pub used_at: Option<DateTime<Utc>>,
}

/// A session as its person sees it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    pub id: SessionId,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    /// What the identity provider that vouched is called.
    pub provider: Option<String>,
    pub created_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
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
        "select s.id, s.tenant_id, s.user_id, s.expires_at, s.used_at, m.role, u.email, u.name
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
            used_at: row.used_at,
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
        "select s.id, s.tenant_id, s.user_id, s.expires_at, s.used_at, m.role, u.email, u.name
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
            used_at: row.used_at,
        })
    })
    .transpose()
}

/// Where a session was begun from.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_origin(
    connection: &mut PgConnection,
    session: SessionId,
    address: Option<&str>,
    user_agent: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update sessions set address = $2::text::inet, user_agent = $3 where id = $1",
        session.0,
        address,
        user_agent,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn note_use(
    connection: &mut PgConnection,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update sessions set used_at = $2 where id = $1 and (used_at is null or used_at < $2)",
        session.0,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A person's sessions in a tenant that go on, the newest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    before: Option<SessionId>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<ListedSession>, StoreError> {
    let rows = sqlx::query!(
        "select s.id, host(s.address) as address, s.user_agent, p.name as \"provider?\", s.created_at, s.used_at, s.expires_at
         from sessions s
         left join identity_providers p on p.id = s.provider_id and p.tenant_id = s.tenant_id
         where s.tenant_id = $1 and s.user_id = $2 and s.revoked_at is null and s.expires_at > $5
           and ($3::uuid is null or s.id < $3)
         order by s.id desc
         limit $4",
        tenant.0,
        user.0,
        before.map(|session| session.0),
        limit,
        now,
    )
    .fetch_all(connection)
    .await?;
    let sessions = rows.into_iter().map(|row| ListedSession {
        id: SessionId(row.id),
        address: row.address,
        user_agent: row.user_agent,
        provider: row.provider,
        created_at: row.created_at,
        used_at: row.used_at,
        expires_at: row.expires_at,
    });
    Ok(sessions.collect())
}

/// Ends a session of one person, or of anybody, in a tenant. Gives whose it was; nobody's when it had ended.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_in(
    connection: &mut PgConnection,
    tenant: TenantId,
    of: Option<UserId>,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<UserId>, StoreError> {
    let whose = sqlx::query_scalar!(
        "update sessions set revoked_at = $4
         where tenant_id = $1 and ($2::uuid is null or user_id = $2) and id = $3 and revoked_at is null and expires_at > $4
         returning user_id",
        tenant.0,
        of.map(|user| user.0),
        session.0,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(whose.map(UserId))
}

/// Ends all sessions of a person in a tenant, but for one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_all_in(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    kept: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $4
         where tenant_id = $1 and user_id = $2 and ($3::uuid is null or id <> $3) and revoked_at is null and expires_at > $4",
        tenant.0,
        user.0,
        kept.map(|session| session.0),
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A further session of the same person, vouched for as `parent` is and no longer than its tenant allows; none when
/// `parent` has ended.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert_like(
    connection: &mut PgConnection,
    parent: SessionId,
    id: SessionId,
    token_hash: &[u8; 32],
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let expires_at = sqlx::query_scalar!(
        "insert into sessions (id, token_hash, tenant_id, user_id, expires_at, provider_id, provider_session, provider_subject)
         select $2, $3, s.tenant_id, s.user_id,
                -- Null counts for nothing here.
                least($4, case when s.provider_id is not null then s.expires_at end,
                      $5::timestamptz + make_interval(secs => t.session_seconds)),
                s.provider_id, s.provider_session, s.provider_subject
         from sessions s
         join tenants t on t.id = s.tenant_id
         join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id and m.disabled_at is null
         where s.id = $1 and s.revoked_at is null and s.expires_at > $5
         returning expires_at",
        parent.0,
        id.0,
        &token_hash[..],
        until,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(expires_at)
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

/// Ends all sessions of a person, in all tenants.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_of(
    connection: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $2 where user_id = $1 and revoked_at is null",
        user.0,
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
