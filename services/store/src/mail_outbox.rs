//! Mail that waits to be sent: requests for a new password, and the mails that came of them. The link in a mail lies
//! encrypted under the master key, bound to its row, and is forgotten once it was sent.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::TenantId;
use uuid::Uuid;

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

const NAME: &str = "mailed link";

/// That somebody asked, with the address they typed and where they asked from.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: Uuid,
    pub recipient: String,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: String,
}

/// What a request came to: the account's own address, and the link that goes there.
#[derive(Debug)]
pub struct Addressed<'a> {
    pub tenant: TenantId,
    pub recipient: &'a str,
    pub link_hash: [u8; 32],
    pub link: &'a SecretString,
    pub expires_at: DateTime<Utc>,
}

/// A mail whose turn it is.
#[derive(Debug)]
pub struct Due {
    pub id: Uuid,
    pub tenant: TenantId,
    pub recipient: String,
    pub link: SecretString,
    pub expires_at: DateTime<Utc>,
    /// This one included.
    pub tries: i32,
    /// Whether the link was used, or made worthless, meanwhile.
    pub used: bool,
}

/// # Errors
/// When the database cannot be asked.
pub async fn insert(connection: &mut PgConnection, asked: &Asked) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into mail_outbox (id, recipient, address, user_agent, request_id)
         values ($1, $2, $3::text::inet, $4, $5)",
        asked.id,
        asked.recipient,
        asked.address.map(|address| address.to_string()),
        asked.user_agent.as_deref(),
        asked.request_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The oldest request that nobody looks up yet; it is the caller's until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock_asked(connection: &mut PgConnection) -> Result<Option<Asked>, StoreError> {
    let row = sqlx::query!(
        r#"select id, recipient, host(address) as address, user_agent, request_id
         from mail_outbox
         where link_hash is null and done_at is null
         order by due_at, id
         limit 1
         for update skip locked"#
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Asked {
        id: row.id,
        recipient: row.recipient,
        address: row.address.and_then(|address| address.parse().ok()),
        user_agent: row.user_agent,
        request_id: row.request_id.unwrap_or_default(),
    }))
}

/// # Errors
/// [`StoreError::Missing`] when there is no such request.
pub async fn set_addressed(
    connection: &mut PgConnection,
    key: &MasterKey,
    id: Uuid,
    addressed: &Addressed<'_>,
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(id), NAME, addressed.link)?;
    let done = sqlx::query!(
        "update mail_outbox
         set tenant_id = $2, recipient = $3, link_hash = $4, link_ciphertext = $5, expires_at = $6, address = null,
             user_agent = null
         where id = $1",
        id,
        addressed.tenant.0,
        addressed.recipient,
        &addressed.link_hash[..],
        sealed,
        addressed.expires_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(one_row("mail", done.rows_affected())?)
}

/// Nothing comes of this request.
///
/// # Errors
/// When the database cannot be asked.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("delete from mail_outbox where id = $1", id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The next mail whose turn it is; nobody else gets it before `until`.
///
/// # Errors
/// When the database cannot be asked, or the link does not open.
pub async fn claim_due(
    connection: &mut PgConnection,
    key: &MasterKey,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Due>, SecretError> {
    let row = sqlx::query!(
        r#"update mail_outbox m set due_at = $2, tries = tries + 1
         from password_links l
         where l.link_hash = m.link_hash and m.id = (
           select id from mail_outbox
           where link_hash is not null and done_at is null and due_at <= $1
           order by due_at, id
           limit 1
           for update skip locked)
         returning m.id, m.tenant_id as "tenant_id!", m.recipient, m.link_ciphertext as "link_ciphertext!",
           m.expires_at as "expires_at!", m.tries, l.used_at is not null as "used!""#,
        now,
        until,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    row.map(|row| {
        Ok(Due {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            recipient: row.recipient,
            link: key.open(&context(row.id), NAME, &row.link_ciphertext)?,
            expires_at: row.expires_at,
            tries: row.tries,
            used: row.used,
        })
    })
    .transpose()
}

/// A try that failed, and when the next one is.
///
/// # Errors
/// When the database cannot be asked.
pub async fn put_off(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update mail_outbox set tried_at = $2, failed = true, due_at = $3 where id = $1",
        id,
        now,
        due_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sent, or given up: the link is forgotten here.
///
/// # Errors
/// When the database cannot be asked.
pub async fn finish(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
    failed: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update mail_outbox set tried_at = $2, failed = $3, done_at = $2, link_ciphertext = null where id = $1",
        id,
        now,
        failed,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the last try to send anything failed. Without any try: no.
///
/// # Errors
/// When the database cannot be asked.
pub async fn last_try_failed(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let failed = sqlx::query_scalar!(
        "select failed from mail_outbox where tried_at is not null order by tried_at desc limit 1"
    )
    .fetch_optional(connection)
    .await?;
    Ok(failed.unwrap_or(false))
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_older(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from mail_outbox where created_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

fn context(id: Uuid) -> String {
    format!("updraft/mail/{id}")
}
