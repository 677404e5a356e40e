//! Nodes that the provider lists and no record names, and the hold that they put on every ending.
//!
//! A node's record is written before the provider is asked for the node. So a node without one tells of a database older
//! than the world: it was restored from a backup, and what it wants ended may be in use. Everything is held as long as
//! there is one that no operator has given over. One in a tenant's account holds that account's clusters alone: whoever has an
//! account makes such nodes at will.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{AwsAccountId, ClusterId, NodeAccount, NodeId};

use crate::StoreError;

/// A node that no record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    pub provider_id: String,
    pub node: NodeId,
    pub cluster: ClusterId,
    /// Where it is.
    pub account: NodeAccount,
}

/// What is held for, and since when.
#[derive(Clone, Debug)]
pub struct Hold {
    pub since: DateTime<Utc>,
    pub strays: Vec<Stray>,
}

/// Notes strays; returns those that are new. Clusters made from now on get ids beyond those that strays belong to.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note(connection: &mut PgConnection, strays: &[Stray]) -> Result<Vec<Stray>, StoreError> {
    let new = sqlx::query!(
        "insert into restore_strays (provider_id, node_id, cluster_id, aws_account_id)
         select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::uuid[])
         on conflict do nothing returning provider_id, node_id, cluster_id, aws_account_id",
        &strays
            .iter()
            .map(|stray| stray.provider_id.clone())
            .collect::<Vec<_>>(),
        &strays.iter().map(|stray| stray.node.0).collect::<Vec<_>>(),
        &strays.iter().map(|stray| stray.cluster.0).collect::<Vec<_>>(),
        &strays
            .iter()
            .map(|stray| stray.account.tenant().map(|id| id.0))
            .collect::<Vec<_>>() as _,
    )
    .fetch_all(&mut *connection)
    .await?;
    // A tenant may write any number on its own instances.
    let ours = new.iter().filter(|row| row.aws_account_id.is_none());
    if let Some(beyond) = ours.map(|row| row.cluster_id).max() {
        skip_ids(connection, beyond).await?;
    }
    let theirs = new.iter().filter(|row| row.aws_account_id.is_some());
    let theirs: Vec<_> = theirs.map(|row| row.cluster_id).collect();
    if !theirs.is_empty() {
        skip_near_ids(connection, &theirs).await?;
    }
    let new = new.into_iter().map(|row| Stray {
        provider_id: row.provider_id,
        node: NodeId(row.node_id),
        cluster: ClusterId(row.cluster_id),
        account: NodeAccount::from(row.aws_account_id.map(AwsAccountId)),
    });
    Ok(new.collect())
}

/// Whether clusters in that account are held.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_open(connection: &mut PgConnection, account: NodeAccount) -> Result<bool, StoreError> {
    let is_open = sqlx::query_scalar!(
        r#"select exists (select from restore_strays
                          where confirmed_at is null and (aws_account_id is null or aws_account_id = $1)) as "is!""#,
        account.tenant().map(|id| id.0),
    )
    .fetch_one(connection)
    .await?;
    Ok(is_open)
}

/// What is held for, if anything is.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open(connection: &mut PgConnection) -> Result<Option<Hold>, StoreError> {
    let rows = sqlx::query!(
        "select provider_id, node_id, cluster_id, aws_account_id, seen_at from restore_strays where confirmed_at is null
         order by cluster_id, provider_id"
    )
    .fetch_all(connection)
    .await?;
    let Some(since) = rows.iter().map(|row| row.seen_at).min() else {
        return Ok(None);
    };
    let strays = rows.into_iter().map(|row| Stray {
        provider_id: row.provider_id,
        node: NodeId(row.node_id),
        cluster: ClusterId(row.cluster_id),
        account: NodeAccount::from(row.aws_account_id.map(AwsAccountId)),
    });
    Ok(Some(Hold {
        since,
        strays: strays.collect(),
    }))
}

/// Gives these nodes over, and wakes all clusters. What turned up since stays held.
///
/// # Errors
/// [`StoreError::Missing`] when one of them is not held for.
pub async fn confirm(connection: &mut PgConnection, hold: &Hold) -> Result<(), StoreError> {
    let ids: Vec<_> = hold
        .strays
        .iter()
        .map(|stray| stray.provider_id.clone())
        .collect();
    let done = sqlx::query!(
        "update restore_strays set confirmed_at = now() where provider_id = any($1) and confirmed_at is null",
        &ids
    )
    .execute(&mut *connection)
    .await?;
    if usize::try_from(done.rows_affected()) != Ok(ids.len()) {
        return Err(StoreError::Missing {
            what: "node that no record names",
        });
    }
    sqlx::query!("update clusters set wake_at = now() where deleted_at is null")
        .execute(connection)
        .await?;
    Ok(())
}

/// Which of these nodes at the provider an operator has given over.
///
/// # Errors
/// When the database cannot be asked.
pub async fn confirmed(
    connection: &mut PgConnection,
    provider_ids: &[String],
) -> Result<Vec<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "select provider_id from restore_strays where provider_id = any($1) and confirmed_at is not null",
        provider_ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// Ids of clusters that were made after the backup are not given again as far as they can be known: their databases and
/// buckets may still be there.
async fn skip_ids(connection: &mut PgConnection, beyond: i64) -> Result<(), StoreError> {
    sqlx::query_scalar!(
        r#"select setval(pg_get_serial_sequence('clusters', 'id'),
               greatest(nextval(pg_get_serial_sequence('clusters', 'id')), $1) + 1000) as "next!""#,
        beyond,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// The same for numbers that tenants' own tags say: as far as they are believable, since nobody checks them.
async fn skip_near_ids(connection: &mut PgConnection, ids: &[i64]) -> Result<(), StoreError> {
    const NEAR: i64 = 10_000;
    let next = sqlx::query_scalar!(r#"select nextval(pg_get_serial_sequence('clusters', 'id')) as "next!""#)
        .fetch_one(&mut *connection)
        .await?;
    let near = ids.iter().copied().filter(|id| *id < next.saturating_add(NEAR));
    match near.max() {
        Some(beyond) => skip_ids(connection, beyond).await,
        None => Ok(()),
    }
}
