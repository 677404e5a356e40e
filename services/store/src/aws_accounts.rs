//! Tenants' own AWS accounts. Nothing of them is secret: what opens an account is a role that trusts Updraft.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{AwsAccountConfig, AwsAccountId, AwsAccountName, ClusterId, TenantId};

use crate::StoreError;
use crate::error::one_row;

/// One that is not deleted.
#[derive(Clone, Debug)]
pub struct AwsAccountRecord {
    pub id: AwsAccountId,
    pub name: AwsAccountName,
    pub external_id: String,
    /// What takes its place once AWS lets Updraft in by it.
    pub next_external_id: Option<String>,
    /// None: the tenant has not said yet.
    pub config: Option<AwsAccountConfig>,
    pub version: i64,
    /// Why AWS does not let Updraft in there, while that is so.
    pub refusal: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Names of the clusters in it.
    pub used_by: Vec<String>,
}

struct Row {
    id: uuid::Uuid,
    name: String,
    external_id: String,
    next_external_id: Option<String>,
    config: Option<Json<AwsAccountConfig>>,
    version: i64,
    refusal: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    used_by: Vec<String>,
}

/// # Errors
/// [`StoreError::Conflict`] on `aws_accounts_name` when the tenant has one of that name.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: AwsAccountId,
    name: &AwsAccountName,
    external_id: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into aws_accounts (id, tenant_id, name, external_id) values ($1, $2, $3, $4)",
        id.0,
        tenant.0,
        name.as_str(),
        external_id,
    )
    .execute(connection)
    .await?;
    Ok(())
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
) -> Result<Vec<AwsAccountRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select a.id, a.name, a.external_id, a.next_external_id, a.config as "config: Json<AwsAccountConfig>",
                  a.version, a.refusal, a.created_at, a.updated_at,
                  array(select c.name from clusters c
                        where c.tenant_id = $1 and c.aws_account_id = a.id and c.deleted_at is null
                        order by c.name) as "used_by!"
           from aws_accounts a
           where a.tenant_id = $1 and a.deleted_at is null and ($2::text is null or a.name > $2)
           order by a.name
           limit $3"#,
        tenant.0,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(AwsAccountRecord::try_from).collect()
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &AwsAccountName,
) -> Result<Option<AwsAccountRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select a.id, a.name, a.external_id, a.next_external_id, a.config as "config: Json<AwsAccountConfig>",
                  a.version, a.refusal, a.created_at, a.updated_at,
                  array(select c.name from clusters c
                        where c.tenant_id = $1 and c.aws_account_id = a.id and c.deleted_at is null
                        order by c.name) as "used_by!"
           from aws_accounts a
           where a.tenant_id = $1 and a.deleted_at is null and a.name = $2"#,
        tenant.0,
        name.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(AwsAccountRecord::try_from).transpose()
}

/// Writes what the tenant says of it. Whether it lets Updraft in is to be seen anew.
///
/// # Errors
/// [`StoreError::Missing`] when there is none.
pub async fn configure(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: AwsAccountId,
    config: &AwsAccountConfig,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update aws_accounts set config = $3, version = version + 1, refusal = null, updated_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        id.0,
        Json(config) as _,
    )
    .execute(connection)
    .await?;
    one_row("AWS account", done.rows_affected())
}

/// Keeps what is to take the external id's place one day.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such account, or one waits there already.
pub async fn keep_next_external_id(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: AwsAccountId,
    next: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update aws_accounts set next_external_id = $3, updated_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null and next_external_id is null",
        tenant.0,
        id.0,
        next,
    )
    .execute(connection)
    .await?;
    one_row("AWS account", done.rows_affected())
}

/// Puts `next` in the external id's place, if it is the one that waits. The one before is forgotten, and whoever keeps a
/// connection to the account makes another one.
///
/// # Errors
/// [`StoreError::Missing`] when it does not wait there.
pub async fn use_next_external_id(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: AwsAccountId,
    next: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update aws_accounts
         set external_id = next_external_id, next_external_id = null, version = version + 1, refusal = null, updated_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null and next_external_id = $3",
        tenant.0,
        id.0,
        next,
    )
    .execute(connection)
    .await?;
    one_row("AWS account", done.rows_affected())
}

/// Forgets what waits, which was never used.
///
/// # Errors
/// [`StoreError::Missing`] when nothing does.
pub async fn drop_next_external_id(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: AwsAccountId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update aws_accounts set next_external_id = null, updated_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null and next_external_id is not null",
        tenant.0,
        id.0,
    )
    .execute(connection)
    .await?;
    one_row("AWS account", done.rows_affected())
}

/// Its row stays for the clusters that were in it.
///
/// # Errors
/// [`StoreError::Missing`] when there is none.
pub async fn remove(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: AwsAccountId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update aws_accounts set deleted_at = now(), updated_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        id.0,
    )
    .execute(connection)
    .await?;
    one_row("AWS account", done.rows_affected())
}

/// Puts a cluster that was just made there, for good.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such cluster, or it is somewhere already.
pub async fn place(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    account: AwsAccountId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set aws_account_id = $3 where tenant_id = $1 and id = $2 and aws_account_id is null",
        tenant.0,
        cluster.0,
        account.0,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

impl TryFrom<Row> for AwsAccountRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: AwsAccountId(row.id),
            name: parsed(&row.name)?,
            external_id: row.external_id,
            next_external_id: row.next_external_id,
            config: row.config.map(|config| config.0),
            version: row.version,
            refusal: row.refusal,
            created_at: row.created_at,
            updated_at: row.updated_at,
            used_by: row.used_by,
        })
    }
}

pub(crate) fn parsed(name: &str) -> Result<AwsAccountName, StoreError> {
    name.parse().map_err(|_| StoreError::Corrupt {
        what: "AWS account's name",
    })
}
