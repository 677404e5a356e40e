//! API tokens of people and of service accounts, kept as SHA-256 only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{TenantId, TenantRole, TokenId, TokenLimit, UserId};

use crate::StoreError;
use crate::error::word;

/// A token that is neither expired nor revoked, with its owner as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveToken {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user: UserId,
    pub tenant_role: TenantRole,
    pub limit: TokenLimit,
    pub email: String,
    pub name: String,
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
        "select t.id, t.tenant_id, t.user_id, t.role as token_role, m.role, u.email, u.name
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
        "select t.id, t.tenant_id, t.user_id, t.role as token_role, m.role, u.email, u.name
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
    email: String,
    name: String,
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
            email: row.email,
            name: row.name,
        })
    }
}
