//! Control processes that live, and which nodes each of them hears.

use std::time::Duration;

use sqlx::PgConnection;
use updraft_model::NodeId;
use uuid::Uuid;

use crate::StoreError;

/// Nodes that another process heard, and how long ago it said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardElsewhere {
    pub nodes: Vec<NodeId>,
    pub age: Duration,
}

/// Notes that this process lives and whom it hears, and forgets processes that have not said so for long.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tell(connection: &mut PgConnection, control: Uuid, heard: &[NodeId]) -> Result<(), StoreError> {
    let heard: Vec<_> = heard.iter().map(|node| node.0).collect();
    sqlx::query!(
        "insert into controls (id, heard) values ($1, $2)
         on conflict (id) do update set seen_at = now(), heard = excluded.heard",
        control,
        &heard,
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
