//! The AWS accounts that nodes are in, for who asks AWS for them: of all tenants.

use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{AwsAccountConfig, AwsAccountId, AwsAccountName, ClusterId, NodeAccount, TenantId};

use crate::StoreError;
use crate::aws_accounts::parsed;

/// An account that nodes can be asked for in.
#[derive(Clone, Debug)]
pub struct ReadyAccount {
    pub id: AwsAccountId,
    pub tenant: TenantId,
    pub name: AwsAccountName,
    pub external_id: String,
    pub config: AwsAccountConfig,
    pub version: i64,
}

struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    name: String,
    external_id: String,
    config: Json<AwsAccountConfig>,
    version: i64,
}

/// Those in which a cluster is, or was.
///
/// # Errors
/// When the database cannot be asked.
pub async fn in_use(connection: &mut PgConnection) -> Result<Vec<AwsAccountId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from aws_accounts a
         where deleted_at is null and config is not null
           and exists (select from clusters c where c.aws_account_id = a.id)
         order by id"
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(AwsAccountId).collect())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    id: AwsAccountId,
) -> Result<Option<ReadyAccount>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id, tenant_id, name, external_id, config as "config!: Json<AwsAccountConfig>", version
           from aws_accounts where id = $1 and deleted_at is null and config is not null"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(ReadyAccount::try_from).transpose()
}

/// The accounts of these clusters, deleted ones too; a cluster that there never was has none.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_clusters(
    connection: &mut PgConnection,
    clusters: &[ClusterId],
) -> Result<Vec<(ClusterId, NodeAccount)>, StoreError> {
    let ids: Vec<_> = clusters.iter().map(|cluster| cluster.0).collect();
    let rows = sqlx::query!("select id, aws_account_id from clusters where id = any($1)", &ids)
        .fetch_all(connection)
        .await?;
    let of = |id: Option<uuid::Uuid>| NodeAccount::from(id.map(AwsAccountId));
    Ok(rows
        .into_iter()
        .map(|row| (ClusterId(row.id), of(row.aws_account_id)))
        .collect())
}

/// Notes why AWS does not let Updraft in, or that it does; whether that is news.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_refusal(
    connection: &mut PgConnection,
    id: AwsAccountId,
    refusal: Option<&str>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update aws_accounts set refusal = $2
         where id = $1 and deleted_at is null and (refusal is null) <> ($2::text is null)",
        id.0,
        refusal,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The clusters in it that are not deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn clusters_in(
    connection: &mut PgConnection,
    id: AwsAccountId,
) -> Result<Vec<ClusterId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from clusters where aws_account_id = $1 and deleted_at is null order by id",
        id.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(ClusterId).collect())
}

impl TryFrom<Row> for ReadyAccount {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: AwsAccountId(row.id),
            tenant: TenantId(row.tenant_id),
            name: parsed(&row.name)?,
            external_id: row.external_id,
            config: row.config.0,
            version: row.version,
        })
    }
}
