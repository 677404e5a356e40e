//! Single-use codes that carry a sign-in from the console's host to an Airflow's host.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::SessionId;

use crate::StoreError;

#[derive(Clone, Debug)]
pub struct NewCode {
    pub code_hash: [u8; 32],
    pub session: SessionId,
    /// The authority it is good for.
    pub host: String,
    /// SHA-256 of what the browser's binding cookie holds.
    pub binding_hash: [u8; 32],
    pub expires_at: DateTime<Utc>,
}

/// What a code was made for.
#[derive(Clone, Debug)]
pub struct RedeemedCode {
    pub session: SessionId,
    pub host: String,
    pub binding_hash: Vec<u8>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(connection: &mut PgConnection, code: &NewCode) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into handover_codes (code_hash, session_id, host, binding_hash, expires_at)
         values ($1, $2, $3, $4, $5)",
        &code.code_hash[..],
        code.session.0,
        code.host,
        &code.binding_hash[..],
        code.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Uses a code up, whatever the caller then finds wrong with it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn redeem(
    connection: &mut PgConnection,
    code_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<RedeemedCode>, StoreError> {
    let row = sqlx::query!(
        "update handover_codes set used_at = $2
         where code_hash = $1 and used_at is null and expires_at > $2
         returning session_id, host, binding_hash",
        &code_hash[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| RedeemedCode {
        session: SessionId(row.session_id),
        host: row.host,
        binding_hash: row.binding_hash,
    }))
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_expired(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from handover_codes where expires_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
