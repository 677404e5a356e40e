//! Domains that tenants claim for their people's addresses. One tenant at most has proven one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ProviderId, TenantId};

use crate::StoreError;
use crate::error::one_row;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    pub tenant: TenantId,
    pub domain: String,
    /// What the DNS TXT record has to say.
    pub challenge: String,
    /// Where its people are sent to sign in.
    pub provider: Option<ProviderId>,
    /// When the record was last seen.
    pub verified_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// # Errors
/// [`StoreError::Conflict`] when the tenant claims it already.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    domain: &str,
    challenge: &str,
    provider: Option<ProviderId>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into domains (tenant_id, domain, challenge, provider_id) values ($1, $2, $3, $4)",
        tenant.0,
        domain,
        challenge,
        provider.map(|provider| provider.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn list(connection: &mut PgConnection, tenant: TenantId) -> Result<Vec<DomainRecord>, StoreError> {
    let rows = sqlx::query!(
        "select domain, challenge, provider_id, verified_at, created_at from domains where tenant_id = $1 order by domain",
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    let records = rows.into_iter().map(|row| DomainRecord {
        tenant,
        domain: row.domain,
        challenge: row.challenge,
        provider: row.provider_id.map(ProviderId),
        verified_at: row.verified_at,
        created_at: row.created_at,
    });
    Ok(records.collect())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<Option<DomainRecord>, StoreError> {
    let row = sqlx::query!(
        "select domain, challenge, provider_id, verified_at, created_at from domains where tenant_id = $1 and domain = $2",
        tenant.0,
        domain,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| DomainRecord {
        tenant,
        domain: row.domain,
        challenge: row.challenge,
        provider: row.provider_id.map(ProviderId),
        verified_at: row.verified_at,
        created_at: row.created_at,
    }))
}

/// # Errors
/// [`StoreError::Missing`].
pub async fn set_provider(
    connection: &mut PgConnection,
    tenant: TenantId,
    domain: &str,
    provider: Option<ProviderId>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update domains set provider_id = $3 where tenant_id = $1 and domain = $2",
        tenant.0,
        domain,
        provider.map(|provider| provider.0),
    )
    .execute(connection)
    .await?;
    one_row("domain", done.rows_affected())
}

/// The record was seen (at that time), or is gone.
///
/// # Errors
/// [`StoreError::Conflict`] on `domains_verified` when another tenant has proven it; [`StoreError::Missing`].
pub async fn set_verified(
    connection: &mut PgConnection,
    tenant: TenantId,
    domain: &str,
    seen_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update domains set verified_at = $3 where tenant_id = $1 and domain = $2",
        tenant.0,
        domain,
        seen_at,
    )
    .execute(connection)
    .await?;
    one_row("domain", done.rows_affected())
}

/// # Errors
/// [`StoreError::Missing`].
pub async fn delete(connection: &mut PgConnection, tenant: TenantId, domain: &str) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from domains where tenant_id = $1 and domain = $2",
        tenant.0,
        domain,
    )
    .execute(connection)
    .await?;
    one_row("domain", done.rows_affected())
}

/// Where people with addresses of this domain sign in: its tenant and an enabled provider, if it is proven.
///
/// # Errors
/// When the database cannot be asked.
pub async fn provider_of(
    connection: &mut PgConnection,
    domain: &str,
) -> Result<Option<(TenantId, ProviderId)>, StoreError> {
    let row = sqlx::query!(
        "select p.tenant_id, p.id
         from domains d join identity_providers p on p.tenant_id = d.tenant_id and p.id = d.provider_id
         where d.domain = $1 and d.verified_at is not null and p.enabled",
        domain,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (TenantId(row.tenant_id), ProviderId(row.id))))
}

/// Proven ones whose record was last seen before `before`, to be looked at again.
///
/// # Errors
/// When the database cannot be asked.
pub async fn seen_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DomainRecord>, StoreError> {
    let rows = sqlx::query!(
        r#"select tenant_id, domain, challenge, provider_id, verified_at, created_at
         from domains where verified_at < $1 order by verified_at limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let records = rows.into_iter().map(|row| DomainRecord {
        tenant: TenantId(row.tenant_id),
        domain: row.domain,
        challenge: row.challenge,
        provider: row.provider_id.map(ProviderId),
        verified_at: row.verified_at,
        created_at: row.created_at,
    });
    Ok(records.collect())
}
