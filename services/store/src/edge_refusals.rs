//! Whose what an edge refused is: sessions and tokens in whatever state, and clusters, also those that are gone. Edges
//! serve all tenants, and each row says whose it is.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, SessionId, TenantId, TokenId, TokenLimit, UserId};

use crate::StoreError;
use crate::error::word;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCluster {
    pub tenant: TenantId,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSession {
    pub tenant: TenantId,
    pub user: UserId,
    pub email: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedToken {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user: UserId,
    pub is_service: bool,
    pub email: String,
    pub limit: TokenLimit,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// Whether its owner was switched off.
    pub is_of_nobody: bool,
}

/// # Errors
/// When the database cannot be asked.
pub async fn clusters(
    connection: &mut PgConnection,
    ids: &[ClusterId],
) -> Result<HashMap<ClusterId, NamedCluster>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select id, tenant_id, name from clusters where id = any($1)",
        &ids
    )
    .fetch_all(connection)
    .await?;
    let named = rows.into_iter().map(|row| {
        let cluster = NamedCluster {
            tenant: TenantId(row.tenant_id),
            name: row.name,
        };
        (ClusterId(row.id), cluster)
    });
    Ok(named.collect())
}

/// # Errors
/// When the database cannot be asked.
pub async fn sessions(
    connection: &mut PgConnection,
    ids: &[SessionId],
) -> Result<HashMap<SessionId, NamedSession>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select s.id, s.tenant_id, s.user_id, u.email
         from sessions s join users u on u.id = s.user_id where s.id = any($1)",
        &ids
    )
    .fetch_all(connection)
    .await?;
    let named = rows.into_iter().map(|row| {
        let session = NamedSession {
            tenant: TenantId(row.tenant_id),
            user: UserId(row.user_id),
            email: row.email,
        };
        (SessionId(row.id), session)
    });
    Ok(named.collect())
}

/// By the SHA-256 of their texts.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tokens(
    connection: &mut PgConnection,
    hashes: &[[u8; 32]],
) -> Result<HashMap<[u8; 32], NamedToken>, StoreError> {
    let hashes: Vec<_> = hashes.iter().map(|hash| hash.to_vec()).collect();
    let rows = sqlx::query!(
        r#"select t.token_hash, t.id, t.tenant_id, t.user_id, t.role, t.expires_at, t.revoked_at, u.email,
                  u.origin = 'service' as "is_service!", m.disabled_at is not null as "is_of_nobody!"
           from api_tokens t
           join memberships m on m.tenant_id = t.tenant_id and m.user_id = t.user_id
           join users u on u.id = t.user_id
           where t.token_hash = any($1)"#,
        &hashes
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash = <[u8; 32]>::try_from(row.token_hash);
            let token = NamedToken {
                id: TokenId(row.id),
                tenant: TenantId(row.tenant_id),
                user: UserId(row.user_id),
                is_service: row.is_service,
                email: row.email,
                limit: word("token role", &row.role)?,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
                is_of_nobody: row.is_of_nobody,
            };
            let hash = hash.map_err(|_| StoreError::Corrupt { what: "token hash" })?;
            Ok((hash, token))
        })
        .collect()
}
