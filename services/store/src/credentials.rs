//! What a tenant's clusters prove themselves with elsewhere. Secrets lie encrypted, bound to tenant and name.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{ClusterId, CredentialConfig, CredentialName, TenantId};

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

/// Without its secret.
#[derive(Clone, Debug)]
pub struct CredentialRecord {
    pub name: CredentialName,
    pub config: CredentialConfig,
    /// Of an SSH key.
    pub public_key: Option<String>,
    /// Why the role that it is was refused, when it was last assumed.
    pub refusal: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Names of the clusters whose spec names it.
    pub used_by: Vec<String>,
}

/// What is written of a credential.
#[derive(Debug)]
pub struct NewCredential<'a> {
    pub name: &'a CredentialName,
    pub config: &'a CredentialConfig,
    pub public_key: Option<&'a str>,
    pub secret: &'a SecretString,
}

/// With its secret, for whom it is meant.
#[derive(Debug)]
pub struct OpenCredential {
    pub config: CredentialConfig,
    pub secret: SecretString,
}

struct Row {
    name: String,
    config: Json<CredentialConfig>,
    public_key: Option<String>,
    refusal: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    used_by: Vec<String>,
}

/// # Errors
/// [`StoreError::Conflict`] on `credentials_pkey` when the tenant has one of that name.
pub async fn insert(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    new: &NewCredential<'_>,
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(tenant, new.name), "credential", new.secret)?;
    sqlx::query!(
        "insert into credentials (tenant_id, name, config, public_key, ciphertext) values ($1, $2, $3, $4, $5)",
        tenant.0,
        new.name.as_str(),
        Json(new.config) as _,
        new.public_key,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// Writes another configuration and secret under the same name.
///
/// # Errors
/// [`StoreError::Missing`] when there is none.
pub async fn replace(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    new: &NewCredential<'_>,
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(tenant, new.name), "credential", new.secret)?;
    let done = sqlx::query!(
        "update credentials set config = $3, public_key = $4, ciphertext = $5, refusal = null, updated_at = now()
         where tenant_id = $1 and name = $2",
        tenant.0,
        new.name.as_str(),
        Json(new.config) as _,
        new.public_key,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(one_row("credential", done.rows_affected())?)
}

/// In the order of their names, those after `after` first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<CredentialRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.name, r.config as "config: Json<CredentialConfig>", r.public_key, r.refusal, r.created_at,
                  r.updated_at,
                  array(select c.name from clusters c
                        where c.tenant_id = $1 and c.deleted_at is null
                          and jsonb_path_exists(c.spec, '$.**.credential ? (@ == $name)',
                                                jsonb_build_object('name', r.name))
                        order by c.name) as "used_by!"
           from credentials r
           where r.tenant_id = $1 and ($2::text is null or r.name > $2)
           order by r.name
           limit $3"#,
        tenant.0,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(CredentialRecord::try_from).collect()
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
) -> Result<Option<CredentialRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.name, r.config as "config: Json<CredentialConfig>", r.public_key, r.refusal, r.created_at,
                  r.updated_at,
                  array(select c.name from clusters c
                        where c.tenant_id = $1 and c.deleted_at is null
                          and jsonb_path_exists(c.spec, '$.**.credential ? (@ == $name)',
                                                jsonb_build_object('name', r.name))
                        order by c.name) as "used_by!"
           from credentials r
           where r.tenant_id = $1 and r.name = $2"#,
        tenant.0,
        name.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(CredentialRecord::try_from).transpose()
}

/// The credential with its secret.
///
/// # Errors
/// When the database cannot be asked, or the secret does not open.
pub async fn open(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    name: &CredentialName,
) -> Result<Option<OpenCredential>, SecretError> {
    let row = sqlx::query!(
        r#"select config as "config: Json<CredentialConfig>", ciphertext from credentials
           where tenant_id = $1 and name = $2"#,
        tenant.0,
        name.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(None) };
    let secret = key.open(&context(tenant, name), "credential", &row.ciphertext)?;
    Ok(Some(OpenCredential {
        config: row.config.0,
        secret,
    }))
}

/// The clusters whose spec names it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn named_by(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
) -> Result<Vec<ClusterId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from clusters
         where tenant_id = $1 and deleted_at is null
           and jsonb_path_exists(spec, '$.**.credential ? (@ == $name)', jsonb_build_object('name', $2::text))
         order by id",
        tenant.0,
        name.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(ClusterId).collect())
}

/// # Errors
/// [`StoreError::Missing`] when there is none.
pub async fn remove(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from credentials where tenant_id = $1 and name = $2",
        tenant.0,
        name.as_str(),
    )
    .execute(connection)
    .await?;
    one_row("credential", done.rows_affected())
}

/// Has the nodes of all clusters that name it told of what it is now.
///
/// # Errors
/// When the database cannot be asked.
pub async fn announce(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update clusters set dag_sync_nonce = dag_sync_nonce + 1
         where tenant_id = $1 and deleted_at is null
           and jsonb_path_exists(spec, '$.**.credential ? (@ == $name)', jsonb_build_object('name', $2::text))",
        tenant.0,
        name.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn context(tenant: TenantId, name: &CredentialName) -> String {
    format!("updraft/tenant/{tenant}/credential/{name}")
}

pub(crate) fn parsed(name: &str) -> Result<CredentialName, StoreError> {
    name.parse().map_err(|_| StoreError::Corrupt {
        what: "credential's name",
    })
}

impl TryFrom<Row> for CredentialRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: parsed(&row.name)?,
            config: row.config.0,
            public_key: row.public_key,
            refusal: row.refusal,
            created_at: row.created_at,
            updated_at: row.updated_at,
            used_by: row.used_by,
        })
    }
}
