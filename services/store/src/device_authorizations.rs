//! Devices that ask to be signed in (RFC 8628), from the first request to the session they get.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{SessionId, TenantId, UserId};

use crate::StoreError;

#[derive(Clone, Debug)]
pub struct NewDevice<'a> {
    pub device_hash: [u8; 32],
    pub user_code: &'a str,
    pub client_name: &'a str,
    pub address: Option<&'a str>,
    pub expires_at: DateTime<Utc>,
}

/// A device that waits for a person's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDevice {
    pub client_name: String,
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    Pending,
    Approved(SessionId),
    Denied,
    Used,
}

/// What a device that asks again is told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    pub state: DeviceState,
    pub expires_at: DateTime<Utc>,
    /// When it asked before.
    pub polled_at: Option<DateTime<Utc>>,
}

/// # Errors
/// [`StoreError::Conflict`] on `device_authorizations_user_code_key` when another device has this code.
pub async fn insert(connection: &mut PgConnection, device: &NewDevice<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into device_authorizations (device_hash, user_code, client_name, address, expires_at)
         values ($1, $2, $3, $4::text::inet, $5)",
        &device.device_hash[..],
        device.user_code,
        device.client_name,
        device.address,
        device.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find_waiting(
    connection: &mut PgConnection,
    user_code: &str,
    now: DateTime<Utc>,
) -> Result<Option<WaitingDevice>, StoreError> {
    let row = sqlx::query!(
        "select client_name, host(address) as address, created_at from device_authorizations
         where user_code = $1 and state = 'pending' and expires_at > $2",
        user_code,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| WaitingDevice {
        client_name: row.client_name,
        address: row.address,
        created_at: row.created_at,
    }))
}

/// Decides for a waiting device, once. Gives its client's name; none when nothing waits for this code.
///
/// # Errors
/// When the database cannot be asked.
pub async fn decide(
    connection: &mut PgConnection,
    user_code: &str,
    (tenant, user, session): (TenantId, UserId, SessionId),
    approved: bool,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar!(
        "update device_authorizations
         set state = case when $5 then 'approved' else 'denied' end, tenant_id = $2, user_id = $3, approved_by_session = $4
         where user_code = $1 and state = 'pending' and expires_at > $6
         returning client_name",
        user_code,
        tenant.0,
        user.0,
        session.0,
        approved,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(name)
}

/// Notes that a device asked, and gives what it was told from before. Its row stays locked for the transaction.
///
/// # Errors
/// When the database cannot be asked.
pub async fn poll(
    connection: &mut PgConnection,
    device_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<Poll>, StoreError> {
    let row = sqlx::query!(
        "select state, expires_at, polled_at, approved_by_session from device_authorizations
         where device_hash = $1 for update",
        &device_hash[..],
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    sqlx::query!(
        "update device_authorizations set polled_at = $2 where device_hash = $1",
        &device_hash[..],
        now,
    )
    .execute(connection)
    .await?;
    let state = match (row.state.as_str(), row.approved_by_session) {
        ("pending", _) => DeviceState::Pending,
        ("approved", Some(session)) => DeviceState::Approved(SessionId(session)),
        ("denied", _) => DeviceState::Denied,
        ("used", _) => DeviceState::Used,
        _ => {
            return Err(StoreError::Corrupt {
                what: "device's state",
            });
        }
    };
    Ok(Some(Poll {
        state,
        expires_at: row.expires_at,
        polled_at: row.polled_at,
    }))
}

/// Its session was given out: the code is worth nothing any more.
///
/// # Errors
/// When the database cannot be asked.
pub async fn use_up(connection: &mut PgConnection, device_hash: &[u8; 32]) -> Result<(), StoreError> {
    sqlx::query!(
        "update device_authorizations set state = 'used' where device_hash = $1",
        &device_hash[..],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn delete_expired(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from device_authorizations where expires_at < $1", before)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
