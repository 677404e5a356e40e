//! A person's authenticator app and recovery codes. The secret lies encrypted under the master key, bound to the person.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::UserId;

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

const NAME: &str = "authenticator";

/// What is kept of a second factor, begun or in use.
#[derive(Debug)]
pub struct SecondFactor {
    /// In base32.
    pub secret: SecretString,
    /// Whether the person has shown a code of it.
    pub confirmed: bool,
    /// The last time step of which a code was used.
    pub last_step: Option<i64>,
    pub recovery_left: usize,
}

/// # Errors
/// When the database cannot be asked, or the secret does not open.
pub async fn find(
    connection: &mut PgConnection,
    key: &MasterKey,
    user: UserId,
) -> Result<Option<SecondFactor>, SecretError> {
    let row = sqlx::query!(
        r#"select totp_ciphertext as "ciphertext!", totp_confirmed_at, totp_last_step,
                  cardinality(recovery_hashes) as "left!"
           from users where id = $1 and totp_ciphertext is not null"#,
        user.0
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    row.map(|row| {
        Ok(SecondFactor {
            secret: key.open(&context(user), NAME, &row.ciphertext)?,
            confirmed: row.totp_confirmed_at.is_some(),
            last_step: row.totp_last_step,
            recovery_left: usize::try_from(row.left).unwrap_or_default(),
        })
    })
    .transpose()
}

/// A new secret, which counts once it is confirmed. False when one is in use.
///
/// # Errors
/// When the database cannot be asked.
pub async fn begin(
    connection: &mut PgConnection,
    key: &MasterKey,
    user: UserId,
    secret: &SecretString,
) -> Result<bool, SecretError> {
    let sealed = key.seal(&context(user), NAME, secret)?;
    let done = sqlx::query!(
        "update users set totp_ciphertext = $2, totp_last_step = null
         where id = $1 and origin = 'local' and totp_confirmed_at is null",
        user.0,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(done.rows_affected() == 1)
}

/// From now on signing in takes a code. False when it did already.
///
/// # Errors
/// When the database cannot be asked.
pub async fn confirm(
    connection: &mut PgConnection,
    user: UserId,
    step: i64,
    recovery_hashes: &[[u8; 32]],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let hashes: Vec<Vec<u8>> = recovery_hashes.iter().map(|hash| hash.to_vec()).collect();
    let done = sqlx::query!(
        "update users set totp_confirmed_at = $4, totp_last_step = $2, recovery_hashes = $3
         where id = $1 and totp_ciphertext is not null and totp_confirmed_at is null",
        user.0,
        step,
        &hashes,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses up a time step and all before it. False when somebody was faster: a code is good once.
///
/// # Errors
/// When the database cannot be asked.
pub async fn use_step(connection: &mut PgConnection, user: UserId, step: i64) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update users set totp_last_step = $2
         where id = $1 and totp_confirmed_at is not null and (totp_last_step is null or totp_last_step < $2)",
        user.0,
        step,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses up a recovery code. False when the person has no such code left.
///
/// # Errors
/// When the database cannot be asked.
pub async fn use_recovery_code(
    connection: &mut PgConnection,
    user: UserId,
    hash: &[u8; 32],
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update users set recovery_hashes = array_remove(recovery_hashes, $2)
         where id = $1 and totp_confirmed_at is not null and $2 = any(recovery_hashes)",
        user.0,
        &hash[..],
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Signing in takes the password alone again.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such person.
pub async fn remove(connection: &mut PgConnection, user: UserId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update users
         set totp_ciphertext = null, totp_confirmed_at = null, totp_last_step = null, recovery_hashes = '{}'
         where id = $1",
        user.0
    )
    .execute(connection)
    .await?;
    one_row("person", done.rows_affected())
}

fn context(user: UserId) -> String {
    format!("user/{user}/totp")
}
