//! Answers already given, so that a repeated POST changes nothing twice.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::TenantId;

use crate::StoreError;
use crate::error::one_row;

/// What a key came to before.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The key is this request's now: do it, then [`complete`] or [`release`].
    Mine,
    /// The same key was used for something else.
    OtherRequest,
    /// The same request is being done at this moment.
    InProgress,
    Answered {
        status: u16,
        body: serde_json::Value,
    },
}

/// Claims a key. One left unanswered since before `abandoned_before` (its process died) is taken over.
///
/// # Errors
/// When the database cannot be asked.
pub async fn claim(
    connection: &mut PgConnection,
    tenant: TenantId,
    key: &str,
    route: &str,
    request_hash: &[u8; 32],
    abandoned_before: DateTime<Utc>,
) -> Result<Claim, StoreError> {
    let done = sqlx::query!(
        "insert into idempotency_keys as k (tenant_id, key, route, request_hash) values ($1, $2, $3, $4)
         on conflict (tenant_id, key) do update set created_at = now()
         where k.status is null and k.created_at < $5 and k.route = $3 and k.request_hash = $4",
        tenant.0,
        key,
        route,
        &request_hash[..],
        abandoned_before,
    )
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Claim::Mine);
    }
    earlier(connection, tenant, key, route, request_hash).await
}

/// # Errors
/// [`StoreError::Missing`] when the key was not claimed.
pub async fn complete(
    connection: &mut PgConnection,
    tenant: TenantId,
    key: &str,
    status: u16,
    body: &serde_json::Value,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update idempotency_keys set status = $3, body = $4 where tenant_id = $1 and key = $2 and status is null",
        tenant.0,
        key,
        i32::from(status),
        body,
    )
    .execute(connection)
    .await?;
    one_row("idempotency key", done.rows_affected())
}

/// Gives a key back after a request that changed nothing.
///
/// # Errors
/// When the database cannot be asked.
pub async fn release(connection: &mut PgConnection, tenant: TenantId, key: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from idempotency_keys where tenant_id = $1 and key = $2 and status is null",
        tenant.0,
        key
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_older(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from idempotency_keys where created_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn earlier(
    connection: &mut PgConnection,
    tenant: TenantId,
    key: &str,
    route: &str,
    request_hash: &[u8; 32],
) -> Result<Claim, StoreError> {
    let row = sqlx::query!(
        "select route, request_hash, status, body from idempotency_keys where tenant_id = $1 and key = $2",
        tenant.0,
        key,
    )
    .fetch_optional(connection)
    .await?;
    // Given back in the meantime: for this request it was under way.
    let Some(row) = row else {
        return Ok(Claim::InProgress);
    };
    if row.route != route || row.request_hash != request_hash {
        return Ok(Claim::OtherRequest);
    }
    match row.status.map(u16::try_from) {
        None => Ok(Claim::InProgress),
        Some(Ok(status)) => Ok(Claim::Answered {
            status,
            body: row.body.unwrap_or_default(),
        }),
        Some(Err(_)) => Err(StoreError::Corrupt {
            what: "idempotency key",
        }),
    }
}
