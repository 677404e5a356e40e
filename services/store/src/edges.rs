//! Edge processes that live: each says so whenever it asks for its snapshot.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use updraft_model::EdgeId;

use crate::StoreError;

/// Notes that an edge has asked, and which of the installation's keys it goes by, if it says so; forgets those that have not
/// for long.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note(
    connection: &mut PgConnection,
    edge: EdgeId,
    keys: Option<&[String]>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into edges (id, keys, keys_since) values ($1, $2, clock_timestamp())
         on conflict (id) do update
             set seen_at = now(), keys = excluded.keys,
                 keys_since = case when edges.keys is distinct from excluded.keys then clock_timestamp()
                                   else edges.keys_since end",
        edge.0,
        keys,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("delete from edges where seen_at < now() - interval '1 hour'")
        .execute(connection)
        .await?;
    Ok(())
}

/// Nothing more is expected of it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget(connection: &mut PgConnection, edge: EdgeId) -> Result<(), StoreError> {
    sqlx::query!("delete from edges where id = $1", edge.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Those that have asked within a minute; each does so at least every 25 s.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_live(connection: &mut PgConnection) -> Result<BTreeSet<EdgeId>, StoreError> {
    let ids = sqlx::query_scalar!("select id from edges where seen_at > now() - interval '1 minute'")
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(EdgeId).collect())
}
