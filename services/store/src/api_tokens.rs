//! API tokens of people and of service accounts, kept as SHA-256 only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{TenantId, TenantRole, TokenId, TokenLimit, UserId};

use crate::StoreError;
use crate::error::{one_row, text, word};

/// A token that is neither expired nor revoked, with its owner as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveToken {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user: UserId,
    pub tenant_role: TenantRole,
    pub limit: TokenLimit,
    /// Whether it is a service account's.
    pub is_service: bool,
    pub email: String,
    pub name: String,
    pub used_at: Option<DateTime<Utc>>,
}

/// A token as it is made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user: UserId,
    pub name: &'a str,
    pub limit: TokenLimit,
    pub token_hash: [u8; 32],
    /// Its last four characters.
    pub hint: &'a str,
    pub created_by: UserId,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    pub id: TokenId,
    pub user: UserId,
    /// The owner's address, or what a service account has for one.
    pub email: String,
    pub is_service: bool,
    pub name: String,
    pub limit: TokenLimit,
    pub hint: String,
    /// The address of who made it, as long as they are here.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub used_at: Option<DateTime<Utc>>,
}

/// A token as edges hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedToken {
    pub token_hash: [u8; 32],
    pub token: LiveToken,
    pub expires_at: Option<DateTime<Utc>>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(connection: &mut PgConnection, token: &NewToken<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into api_tokens (id, tenant_id, user_id, name, role, token_hash, hint, created_by, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        token.id.0,
        token.tenant.0,
        token.user.0,
        token.name,
        text("token role", &token.limit)?,
        &token.token_hash[..],
        token.hint,
        token.created_by.0,
        token.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Tokens that were not revoked, of one person or of the whole tenant, the oldest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    of: Option<UserId>,
    after: Option<TokenId>,
    limit: i64,
) -> Result<Vec<TokenRecord>, StoreError> {
    let rows = sqlx::query_as!(
        RecordRow,
        "select t.id, t.user_id, u.email, u.origin = 'service' as \"is_service!\", t.name, t.role, t.hint,
                (select c.email from users c join memberships m on m.user_id = c.id and m.tenant_id = t.tenant_id
                 where c.id = t.created_by) as created_by,
                t.created_at, t.expires_at, t.used_at
         from api_tokens t join users u on u.id = t.user_id
         where t.tenant_id = $1 and t.revoked_at is null and ($2::uuid is null or t.user_id = $2)
           and ($3::uuid is null or t.id > $3)
         order by t.id
         limit $4",
        tenant.0,
        of.map(|user| user.0),
        after.map(|token| token.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TokenRecord::try_from).collect()
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    token: TokenId,
) -> Result<Option<TokenRecord>, StoreError> {
    let row = sqlx::query_as!(
        RecordRow,
        "select t.id, t.user_id, u.email, u.origin = 'service' as \"is_service!\", t.name, t.role, t.hint,
                (select c.email from users c join memberships m on m.user_id = c.id and m.tenant_id = t.tenant_id
                 where c.id = t.created_by) as created_by,
                t.created_at, t.expires_at, t.used_at
         from api_tokens t join users u on u.id = t.user_id
         where t.tenant_id = $1 and t.id = $2 and t.revoked_at is null",
        tenant.0,
        token.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(TokenRecord::try_from).transpose()
}

/// # Errors
/// [`StoreError::Missing`] when there is no such token, or it was revoked before.
pub async fn revoke(
    connection: &mut PgConnection,
    tenant: TenantId,
    token: TokenId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update api_tokens set revoked_at = $3 where tenant_id = $1 and id = $2 and revoked_at is null",
        tenant.0,
        token.0,
        now,
    )
    .execute(connection)
    .await?;
    one_row("token", done.rows_affected())
}

/// Every token that opens some Airflow now, of all tenants or of one. SCIM alone is no business of edges.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_pushed(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    now: DateTime<Utc>,
) -> Result<Vec<PushedToken>, StoreError> {
    let rows = sqlx::query!(
        "select t.token_hash, t.expires_at, t.id, t.tenant_id, t.user_id, t.role as token_role, m.role, u.email, u.name,
                u.origin = 'service' as \"is_service!\"
         from api_tokens t
         join memberships m on m.tenant_id = t.tenant_id and m.user_id = t.user_id and m.disabled_at is null
         join users u on u.id = t.user_id
         where t.role <> 'scim' and t.revoked_at is null and (t.expires_at is null or t.expires_at > $1)
             and ($2::uuid is null or t.tenant_id = $2)",
        now,
        tenant.map(|tenant| tenant.0),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash = <[u8; 32]>::try_from(row.token_hash);
            Ok(PushedToken {
                token_hash: hash.map_err(|_| StoreError::Corrupt { what: "token hash" })?,
                token: LiveToken::try_from(LiveRow {
                    id: row.id,
                    tenant_id: row.tenant_id,
                    user_id: row.user_id,
                    token_role: row.token_role,
                    role: row.role,
                    is_service: row.is_service,
                    email: row.email,
                    name: row.name,
                    used_at: None,
                })?,
                expires_at: row.expires_at,
            })
        })
        .collect()
}

/// Notes when tokens were last used; never earlier than what is known.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_uses(
    connection: &mut PgConnection,
    uses: &[(TokenId, DateTime<Utc>)],
) -> Result<(), StoreError> {
    let (ids, times): (Vec<_>, Vec<_>) = uses.iter().map(|(token, at)| (token.0, *at)).unzip();
    sqlx::query!(
        "update api_tokens t set used_at = greatest(t.used_at, n.at)
         from unnest($1::uuid[], $2::timestamptz[]) as n (id, at)
         where t.id = n.id",
        &ids,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets tokens that were revoked or expired before `before`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn delete_dead(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from api_tokens where expires_at < $1 or revoked_at < $1",
        before
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// The token with this hash, unless it is dead or its owner is removed or switched off.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_live(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<LiveToken>, StoreError> {
    let row = sqlx::query_as!(
        LiveRow,
        "select t.id, t.tenant_id, t.user_id, t.role as token_role, m.role, u.origin = 'service' as \"is_service!\",
                u.email, u.name, t.used_at
         from api_tokens t
         join memberships m on m.tenant_id = t.tenant_id and m.user_id = t.user_id and m.disabled_at is null
         join users u on u.id = t.user_id
         where t.token_hash = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)",
        &token_hash[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    row.map(LiveToken::try_from).transpose()
}

/// The same by its id, for what goes on while a token lives.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_live_by_id(
    connection: &mut PgConnection,
    token: TokenId,
    now: DateTime<Utc>,
) -> Result<Option<LiveToken>, StoreError> {
    let row = sqlx::query_as!(
        LiveRow,
        "select t.id, t.tenant_id, t.user_id, t.role as token_role, m.role, u.origin = 'service' as \"is_service!\",
                u.email, u.name, t.used_at
         from api_tokens t
         join memberships m on m.tenant_id = t.tenant_id and m.user_id = t.user_id and m.disabled_at is null
         join users u on u.id = t.user_id
         where t.id = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)",
        token.0,
        now,
    )
    .fetch_optional(connection)
    .await?;
    row.map(LiveToken::try_from).transpose()
}

struct LiveRow {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    user_id: uuid::Uuid,
    token_role: String,
    role: String,
    is_service: bool,
    email: String,
    name: String,
    used_at: Option<DateTime<Utc>>,
}

struct RecordRow {
    id: uuid::Uuid,
    user_id: uuid::Uuid,
    email: String,
    is_service: bool,
    name: String,
    role: String,
    hint: String,
    created_by: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    used_at: Option<DateTime<Utc>>,
}

// === impl LiveToken ===

impl TryFrom<LiveRow> for LiveToken {
    type Error = StoreError;

    fn try_from(row: LiveRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: TokenId(row.id),
            tenant: TenantId(row.tenant_id),
            user: UserId(row.user_id),
            tenant_role: word("tenant role", &row.role)?,
            limit: word("token role", &row.token_role)?,
            is_service: row.is_service,
            email: row.email,
            name: row.name,
            used_at: row.used_at,
        })
    }
}

// === impl TokenRecord ===

impl TryFrom<RecordRow> for TokenRecord {
    type Error = StoreError;

    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: TokenId(row.id),
            user: UserId(row.user_id),
            email: row.email,
            is_service: row.is_service,
            name: row.name,
            limit: word("token role", &row.role)?,
            hint: row.hint,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        })
    }
}
