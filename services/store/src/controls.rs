//! Control processes that live: which nodes each of them hears, and which master keys it holds.

use std::time::Duration;

use sqlx::PgConnection;
use updraft_model::NodeId;
use uuid::Uuid;

use crate::StoreError;
use crate::secrets::{KeyId, MasterKey};

/// Nodes that another process heard, and how long ago it said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardElsewhere {
    pub nodes: Vec<NodeId>,
    pub age: Duration,
}

/// Notes that this process lives, whom it hears and which keys it holds, and forgets processes that have not said so for long.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tell(
    connection: &mut PgConnection,
    control: Uuid,
    heard: &[NodeId],
    key: &MasterKey,
) -> Result<(), StoreError> {
    let heard: Vec<_> = heard.iter().map(|node| node.0).collect();
    let keys: Vec<_> = key.held().iter().map(KeyId::to_string).collect();
    sqlx::query!(
        "insert into controls (id, heard, master_keys) values ($1, $2, $3)
         on conflict (id) do update
         set seen_at = now(), heard = excluded.heard, master_keys = excluded.master_keys",
        control,
        &heard,
        &keys,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("delete from controls where seen_at < now() - interval '10 minutes'")
        .execute(connection)
        .await?;
    Ok(())
}

/// What the other processes that live said last.
///
/// # Errors
/// When the database cannot be asked.
pub async fn heard_by_others(
    connection: &mut PgConnection,
    control: Uuid,
) -> Result<Vec<HeardElsewhere>, StoreError> {
    let rows = sqlx::query!(
        r#"select heard, extract(epoch from now() - seen_at)::float8 as "age!" from controls
           where id <> $1 and seen_at > now() - interval '1 minute'"#,
        control,
    )
    .fetch_all(connection)
    .await?;
    let heard = rows.into_iter().map(|row| HeardElsewhere {
        nodes: row.heard.into_iter().map(NodeId).collect(),
        age: Duration::try_from_secs_f64(row.age).unwrap_or_default(),
    });
    Ok(heard.collect())
}

/// The master keys that each process that lives said it holds, the one that seals first. Nothing from a process of a
/// release that has one key only and does not say which.
///
/// # Errors
/// When the database cannot be asked.
pub async fn master_keys(connection: &mut PgConnection) -> Result<Vec<Vec<String>>, StoreError> {
    let keys =
        sqlx::query_scalar!("select master_keys from controls where seen_at > now() - interval '1 minute'")
            .fetch_all(connection)
            .await?;
    Ok(keys)
}
