//! All nodes on record at once, for who compares them with the provider's list.

use sqlx::PgConnection;
use updraft_model::{AwsAccountId, ClusterId, NodeAccount, NodeId};

use crate::StoreError;

/// A node on record that is not gone.
#[derive(Clone, Debug)]
pub struct KnownNode {
    pub id: NodeId,
    pub cluster: ClusterId,
    /// Where its cluster is.
    pub account: NodeAccount,
    pub provider_id: Option<String>,
    /// The provider has said that it is there, and nobody asked it to end it.
    pub is_launched: bool,
}

/// # Errors
/// When the database cannot be asked.
pub async fn live(connection: &mut PgConnection) -> Result<Vec<KnownNode>, StoreError> {
    let rows = sqlx::query!(
        r#"select n.id, n.cluster_id, n.provider_id, n.state = 'launched' as "is_launched!",
                  c.aws_account_id as "account_id?"
           from nodes n join clusters c on c.id = n.cluster_id
           where n.state <> 'gone'"#
    )
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter().map(|row| KnownNode {
        id: NodeId(row.id),
        cluster: ClusterId(row.cluster_id),
        account: NodeAccount::from(row.account_id.map(AwsAccountId)),
        provider_id: row.provider_id,
        is_launched: row.is_launched,
    });
    Ok(known.collect())
}

/// Which of these clusters are deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_deleted(
    connection: &mut PgConnection,
    clusters: &[ClusterId],
) -> Result<Vec<ClusterId>, StoreError> {
    let ids: Vec<_> = clusters.iter().map(|cluster| cluster.0).collect();
    let found = sqlx::query_scalar!(
        "select id from clusters where id = any($1) and deleted_at is not null",
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(ClusterId).collect())
}

/// Which of these clusters are no more, or never were.
///
/// # Errors
/// When the database cannot be asked.
pub async fn not_there(
    connection: &mut PgConnection,
    clusters: &[ClusterId],
) -> Result<Vec<ClusterId>, StoreError> {
    let ids: Vec<_> = clusters.iter().map(|cluster| cluster.0).collect();
    let found = sqlx::query_scalar!(
        r#"select asked as "asked!" from unnest($1::bigint[]) asked
           where not exists (select from clusters where id = asked and deleted_at is null)"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(ClusterId).collect())
}
