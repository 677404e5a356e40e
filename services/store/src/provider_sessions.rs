//! Sessions that an identity provider vouched for, and how they end with the one there.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::{ProviderId, SessionId, TenantId, UserId};

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

/// What the provider calls the sign-in behind a session.
#[derive(Debug)]
pub struct ProviderSession<'a> {
    pub provider: ProviderId,
    pub subject: &'a str,
    /// OIDC `sid` or SAML SessionIndex.
    pub session: Option<&'a str>,
    pub id_token: Option<&'a SecretString>,
}

/// Behind a session that is to be ended at its provider too.
#[derive(Debug)]
pub struct Vouched {
    pub provider: ProviderId,
    pub subject: Option<String>,
    pub session: Option<String>,
    pub id_token: Option<SecretString>,
}

/// Says which provider vouched for a session that was just opened.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn vouch(
    connection: &mut PgConnection,
    key: &MasterKey,
    session: SessionId,
    by: &ProviderSession<'_>,
) -> Result<(), SecretError> {
    let sealed = by
        .id_token
        .map(|token| key.seal(&context(session), "id token", token))
        .transpose()?;
    let done = sqlx::query!(
        "update sessions set provider_id = $2, provider_subject = $3, provider_session = $4, id_token_ciphertext = $5
         where id = $1",
        session.0,
        by.provider.0,
        by.subject,
        by.session,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(one_row("session", done.rows_affected())?)
}

/// Who vouched for a session; `None` for one that began with a password.
///
/// # Errors
/// When the database cannot be asked, or the token does not open.
pub async fn find(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    session: SessionId,
) -> Result<Option<Vouched>, SecretError> {
    let row = sqlx::query!(
        r#"select provider_id as "provider_id!", provider_subject, provider_session, id_token_ciphertext
         from sessions where tenant_id = $1 and id = $2 and provider_id is not null"#,
        tenant.0,
        session.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    row.map(|row| {
        let open = |sealed: Vec<u8>| key.open(&context(session), "id token", &sealed);
        Ok(Vouched {
            provider: ProviderId(row.provider_id),
            subject: row.provider_subject,
            session: row.provider_session,
            id_token: row.id_token_ciphertext.map(open).transpose()?,
        })
    })
    .transpose()
}

/// Ends the sessions behind one sign-in at the provider, or all of a subject when the provider names no sign-in; none
/// that began after `begun_until`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke(
    connection: &mut PgConnection,
    provider: ProviderId,
    subject: Option<&str>,
    session: Option<&str>,
    begun_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $4
         where provider_id = $1 and revoked_at is null and created_at <= $5
           and ($2::text is not null or $3::text is not null)
           and ($2::text is null or provider_subject = $2)
           and ($3::text is null or provider_session = $3)",
        provider.0,
        subject,
        session,
        now,
        begun_until,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Ends every session of a person in one tenant.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_all_of(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $3 where tenant_id = $1 and user_id = $2 and revoked_at is null",
        tenant.0,
        user.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Ends every session that a provider vouched for.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_all_through(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $3 where tenant_id = $1 and provider_id = $2 and revoked_at is null",
        tenant.0,
        provider.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Ends every session of a tenant that began with a password, but one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke_by_password(
    connection: &mut PgConnection,
    tenant: TenantId,
    kept: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update sessions set revoked_at = $3
         where tenant_id = $1 and provider_id is null and revoked_at is null and id is distinct from $2",
        tenant.0,
        kept.map(|kept| kept.0),
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

fn context(session: SessionId) -> String {
    format!("updraft/session/{session}/id-token")
}
