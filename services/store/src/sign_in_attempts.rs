//! Sign-ins on their way through a provider: bound to one browser, good once, for minutes.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::{ProviderId, TenantId};

use crate::StoreError;
use crate::secrets::{MasterKey, SecretError};

#[derive(Debug)]
pub struct NewAttempt<'a> {
    pub state_hash: [u8; 32],
    pub tenant: TenantId,
    pub provider: ProviderId,
    /// SHA-256 of what the browser's cookie holds.
    pub binding_hash: [u8; 32],
    /// What the protocol must remember: nonce and PKCE verifier, or a request id.
    pub memory: &'a SecretString,
    pub return_to: &'a str,
    pub is_test: bool,
    pub expires_at: DateTime<Utc>,
}

/// An attempt that was just used up.
#[derive(Debug)]
pub struct UsedAttempt {
    pub tenant: TenantId,
    pub provider: ProviderId,
    pub binding_hash: Vec<u8>,
    pub memory: SecretString,
    pub return_to: String,
    pub is_test: bool,
}

/// Why there is nothing to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    Unknown,
    Used,
    Expired,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(
    connection: &mut PgConnection,
    key: &MasterKey,
    new: &NewAttempt<'_>,
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(&new.state_hash), "sign-in attempt", new.memory)?;
    sqlx::query!(
        "insert into sign_in_attempts (state_hash, tenant_id, provider_id, binding_hash, ciphertext, return_to, is_test,
           expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        &new.state_hash[..],
        new.tenant.0,
        new.provider.0,
        &new.binding_hash[..],
        sealed,
        new.return_to,
        new.is_test,
        new.expires_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// Forgets a provider's attempts, used ones too, beyond the newest.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget_older(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
    keep: i64,
) -> Result<u64, StoreError> {
    // Locked ones are being used or forgotten by somebody else.
    let done = sqlx::query!(
        "delete from sign_in_attempts
         where tenant_id = $1 and state_hash in (
           select state_hash from sign_in_attempts
           where tenant_id = $1 and provider_id = $2
           order by expires_at desc offset $3
           for update skip locked)",
        tenant.0,
        provider.0,
        keep,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Uses an attempt up, whatever the caller then finds wrong with it.
///
/// # Errors
/// When the database cannot be asked, or what was remembered does not open.
pub async fn take(
    connection: &mut PgConnection,
    key: &MasterKey,
    state_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Result<UsedAttempt, Unusable>, SecretError> {
    let row = sqlx::query!(
        "update sign_in_attempts set used_at = $2
         where state_hash = $1 and used_at is null and expires_at > $2
         returning tenant_id, provider_id, binding_hash, ciphertext, return_to, is_test",
        &state_hash[..],
        now,
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::from)?;
    let Some(row) = row else {
        return Ok(Err(why_unusable(connection, state_hash).await?));
    };
    Ok(Ok(UsedAttempt {
        tenant: TenantId(row.tenant_id),
        provider: ProviderId(row.provider_id),
        binding_hash: row.binding_hash,
        memory: key.open(&context(state_hash), "sign-in attempt", &row.ciphertext)?,
        return_to: row.return_to.unwrap_or_default(),
        is_test: row.is_test,
    }))
}

async fn why_unusable(connection: &mut PgConnection, state_hash: &[u8; 32]) -> Result<Unusable, StoreError> {
    let used = sqlx::query_scalar!(
        r#"select used_at is not null as "used!" from sign_in_attempts where state_hash = $1"#,
        &state_hash[..],
    )
    .fetch_optional(connection)
    .await?;
    Ok(match used {
        None => Unusable::Unknown,
        Some(true) => Unusable::Used,
        Some(false) => Unusable::Expired,
    })
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_expired(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from sign_in_attempts where expires_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

fn context(state_hash: &[u8; 32]) -> String {
    format!("updraft/sign-in-attempt/{}", hex::encode(state_hash))
}
