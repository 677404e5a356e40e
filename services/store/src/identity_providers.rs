//! Identity providers of tenants. Their secrets lie encrypted, bound to the provider they belong to.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgConnection;
use updraft_model::{ProviderConfig, ProviderId, TenantId};

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

#[derive(Clone, Debug)]
pub struct ProviderRecord {
    pub id: ProviderId,
    pub tenant: TenantId,
    pub name: String,
    pub enabled: bool,
    pub config: ProviderConfig,
    pub has_secret: bool,
    /// Grows with each change of what decides who gets in: configuration and secret.
    pub version: i64,
    /// As the use cases wrote it.
    pub last_test: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub struct NewProvider<'a> {
    pub id: ProviderId,
    pub tenant: TenantId,
    pub name: &'a str,
    pub config: &'a ProviderConfig,
    pub secret: Option<&'a SecretString>,
}

/// One of a tenant's ways in, as its sign-in page offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedProvider {
    pub id: ProviderId,
    pub name: String,
}

struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    name: String,
    enabled: bool,
    config: Value,
    has_secret: bool,
    version: i64,
    last_test: Option<Value>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// # Errors
/// [`StoreError::Conflict`] on `identity_providers_name` when the tenant has one of that name.
pub async fn insert(
    connection: &mut PgConnection,
    key: &MasterKey,
    new: &NewProvider<'_>,
) -> Result<(), SecretError> {
    let sealed = seal(key, new.id, new.secret)?;
    sqlx::query!(
        "insert into identity_providers (id, tenant_id, kind, name, config, secret_ciphertext)
         values ($1, $2, $3, $4, $5, $6)",
        new.id.0,
        new.tenant.0,
        kind(new.config),
        new.name,
        written(new.config)?,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
) -> Result<Option<ProviderRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id, tenant_id, name, enabled, config, secret_ciphertext is not null as "has_secret!", version,
             last_test, created_at, updated_at
         from identity_providers where tenant_id = $1 and id = $2"#,
        tenant.0,
        provider.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(ProviderRecord::try_from).transpose()
}

/// A provider whose tenant nobody has named yet: for what a browser or a provider brings along. Answers with the tenant.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_anywhere(
    connection: &mut PgConnection,
    provider: ProviderId,
) -> Result<Option<ProviderRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id, tenant_id, name, enabled, config, secret_ciphertext is not null as "has_secret!", version,
             last_test, created_at, updated_at
         from identity_providers where id = $1"#,
        provider.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(ProviderRecord::try_from).transpose()
}

/// All of a tenant's, by name. There are few.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<ProviderRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, tenant_id, name, enabled, config, secret_ciphertext is not null as "has_secret!", version,
             last_test, created_at, updated_at
         from identity_providers where tenant_id = $1 order by lower(name)"#,
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ProviderRecord::try_from).collect()
}

/// Those that sign people in.
///
/// # Errors
/// When the database cannot be asked.
pub async fn offered(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<OfferedProvider>, StoreError> {
    let rows = sqlx::query!(
        "select id, name from identity_providers where tenant_id = $1 and enabled order by lower(name)",
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    let offer = |id, name| OfferedProvider {
        id: ProviderId(id),
        name,
    };
    Ok(rows.into_iter().map(|row| offer(row.id, row.name)).collect())
}

/// # Errors
/// When the database cannot be asked, or the secret does not open.
pub async fn secret(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    provider: ProviderId,
) -> Result<Option<SecretString>, SecretError> {
    let sealed = sqlx::query_scalar!(
        "select secret_ciphertext from identity_providers where tenant_id = $1 and id = $2",
        tenant.0,
        provider.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?
    .flatten();
    sealed
        .map(|sealed| key.open(&context(provider), "provider secret", &sealed))
        .transpose()
}

/// # Errors
/// [`StoreError::Conflict`] on `identity_providers_name`; [`StoreError::Missing`].
pub async fn rename(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
    name: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update identity_providers set name = $3, updated_at = now() where tenant_id = $1 and id = $2",
        tenant.0,
        provider.0,
        name,
    )
    .execute(connection)
    .await?;
    one_row("identity provider", done.rows_affected())
}

/// Another configuration, and another secret if one is given: a new version, which no test was made of.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn configure(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    provider: ProviderId,
    config: &ProviderConfig,
    secret: Option<&SecretString>,
) -> Result<(), SecretError> {
    let sealed = seal(key, provider, secret)?;
    let done = sqlx::query!(
        "update identity_providers
         set config = $3, secret_ciphertext = coalesce($4, secret_ciphertext), version = version + 1, updated_at = now()
         where tenant_id = $1 and id = $2",
        tenant.0,
        provider.0,
        written(config)?,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(one_row("identity provider", done.rows_affected())?)
}

/// Records a test, unless the provider has changed since the test began. False: it has.
///
/// # Errors
/// When the database cannot be asked.
pub async fn record_test(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
    version: i64,
    test: &Value,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update identity_providers set last_test = $4 where tenant_id = $1 and id = $2 and version = $3",
        tenant.0,
        provider.0,
        version,
        test,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// # Errors
/// [`StoreError::Missing`].
pub async fn set_enabled(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
    enabled: bool,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update identity_providers set enabled = $3, updated_at = now() where tenant_id = $1 and id = $2",
        tenant.0,
        provider.0,
        enabled,
    )
    .execute(connection)
    .await?;
    one_row("identity provider", done.rows_affected())
}

/// Whether it signs people in. It goes on to until the transaction ends: who disables it meanwhile waits, and then ends
/// the sessions that were begun here too.
///
/// # Errors
/// When the database cannot be asked.
pub async fn hold_enabled(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        "select enabled from identity_providers where tenant_id = $1 and id = $2 for share",
        tenant.0,
        provider.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found == Some(true))
}

/// With its identities, attempts and sessions; its domains stay, without a provider.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn delete(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update domains set provider_id = null where tenant_id = $1 and provider_id = $2",
        tenant.0,
        provider.0,
    )
    .execute(&mut *connection)
    .await?;
    let done = sqlx::query!(
        "delete from identity_providers where tenant_id = $1 and id = $2",
        tenant.0,
        provider.0,
    )
    .execute(connection)
    .await?;
    one_row("identity provider", done.rows_affected())
}

fn kind(config: &ProviderConfig) -> &'static str {
    match config {
        ProviderConfig::Oidc(_) => "oidc",
        ProviderConfig::Saml(_) => "saml",
    }
}

fn written(config: &ProviderConfig) -> Result<Value, StoreError> {
    serde_json::to_value(config).map_err(|_| StoreError::Corrupt {
        what: "provider configuration",
    })
}

fn context(provider: ProviderId) -> String {
    format!("updraft/identity-provider/{provider}")
}

fn seal(
    key: &MasterKey,
    provider: ProviderId,
    secret: Option<&SecretString>,
) -> Result<Option<Vec<u8>>, SecretError> {
    secret
        .map(|secret| key.seal(&context(provider), "provider secret", secret))
        .transpose()
}

impl TryFrom<Row> for ProviderRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: ProviderId(row.id),
            tenant: TenantId(row.tenant_id),
            name: row.name,
            enabled: row.enabled,
            config: serde_json::from_value(row.config).map_err(|_| StoreError::Corrupt {
                what: "provider configuration",
            })?,
            has_secret: row.has_secret,
            version: row.version,
            last_test: row.last_test,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
