//! SAML assertions that were accepted: none is twice.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::ProviderId;

use crate::StoreError;

/// False: it was accepted before.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(
    connection: &mut PgConnection,
    provider: ProviderId,
    assertion: &str,
    expires_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into saml_assertions (provider_id, assertion_id, expires_at) values ($1, $2, $3) on conflict do nothing",
        provider.0,
        assertion,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_expired(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from saml_assertions where expires_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
