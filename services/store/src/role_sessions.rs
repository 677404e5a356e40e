//! Roles that credentials are: the session of each, encrypted where a key would lie, and why there is no other one.

use std::collections::BTreeMap;

use secrecy::SecretString;
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{CredentialConfig, CredentialName, TenantId};

use crate::StoreError;
use crate::credentials::{context, parsed};
use crate::secrets::{MasterKey, SecretError};

/// Another session of the role that a credential is, unless it was made something else meanwhile, announced to those who hand
/// it out.
///
/// # Errors
/// When the database cannot be asked, or the session not be sealed.
pub async fn keep(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    name: &CredentialName,
    (config, session): (&CredentialConfig, &SecretString),
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(tenant, name), "credential", session)?;
    sqlx::query!(
        "with written as (
             update credentials set ciphertext = $4 where tenant_id = $1 and name = $2 and config = $3
             returning name)
         select pg_notify('updraft_clusters', c.id::text) from written r join clusters c on c.tenant_id = $1
         where c.deleted_at is null
           and jsonb_path_exists(c.spec, '$.**.credential ? (@ == $name)', jsonb_build_object('name', r.name))",
        tenant.0,
        name.as_str(),
        Json(config) as _,
        sealed,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// Notes why the role that a credential is was refused, unless it was made something else meanwhile; None: it no longer is.
/// True when that is news.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_refusal(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
    config: &CredentialConfig,
    refusal: Option<&str>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update credentials set refusal = $4
         where tenant_id = $1 and name = $2 and config = $3 and refusal is distinct from $4",
        tenant.0,
        name.as_str(),
        Json(config) as _,
        refusal,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Why roles of the tenant are refused, those that are.
///
/// # Errors
/// When the database cannot be asked.
pub async fn refusals(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<BTreeMap<CredentialName, String>, StoreError> {
    let rows = sqlx::query!(
        r#"select name, refusal as "refusal!" from credentials where tenant_id = $1 and refusal is not null"#,
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    let parsed = rows.into_iter().map(|row| Ok((parsed(&row.name)?, row.refusal)));
    parsed.collect()
}

/// Roles of all tenants that a cluster names.
///
/// # Errors
/// When the database cannot be asked.
pub async fn in_use(connection: &mut PgConnection) -> Result<Vec<(TenantId, CredentialName)>, StoreError> {
    let rows = sqlx::query!(
        r#"select r.tenant_id, r.name from credentials r
           where r.config->>'kind' = 'aws_role'
             and exists (select from clusters c
                         where c.tenant_id = r.tenant_id and c.deleted_at is null
                           and jsonb_path_exists(c.spec, '$.**.credential ? (@ == $name)',
                                                 jsonb_build_object('name', r.name)))
           order by r.tenant_id, r.name"#
    )
    .fetch_all(connection)
    .await?;
    let parsed = rows
        .into_iter()
        .map(|row| Ok((TenantId(row.tenant_id), parsed(&row.name)?)));
    parsed.collect()
}
