//! Control processes that live: which nodes each of them hears, and which master keys it holds.

use std::time::Duration;

use sqlx::PgConnection;
use updraft_model::NodeId;
use uuid::Uuid;

use crate::StoreError;
use crate::secrets::{KeyId, MasterKey};

/// Another process that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherControl {
    pub id: Uuid,
    /// How long ago it last said that it lives, and whom it hears.
    pub age: Duration,
    /// Which change of that this is. None: it does not count them.
    pub change: Option<i64>,
    /// Whom it hears; none when that is known already.
    pub heard: Option<Vec<NodeId>>,
}

/// Notes that this process lives, which keys it holds and that it hears the same nodes as before or these, and forgets
/// processes that have not said so for long. False: nothing is on record of what it hears.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tell(
    connection: &mut PgConnection,
    control: Uuid,
    changed: Option<(i64, &[NodeId])>,
    key: &MasterKey,
) -> Result<bool, StoreError> {
    let keys: Vec<_> = key.held().iter().map(KeyId::to_string).collect();
    let told = match changed {
        None => sqlx::query!(
            "update controls set seen_at = now(), master_keys = $2 where id = $1",
            control,
            &keys
        )
        .execute(&mut *connection)
        .await?
        .rows_affected(),
        Some((change, heard)) => {
            let heard: Vec<_> = heard.iter().map(|node| node.0).collect();
            sqlx::query!(
                "insert into controls (id, heard, heard_change, master_keys) values ($1, $2, $3, $4)
                 on conflict (id) do update
                     set seen_at = now(), heard = excluded.heard, heard_change = excluded.heard_change,
                         master_keys = excluded.master_keys",
                control,
                &heard,
                change,
                &keys,
            )
            .execute(&mut *connection)
            .await?
            .rows_affected()
        }
    };
    sqlx::query!("delete from controls where seen_at < now() - interval '10 minutes'")
        .execute(connection)
        .await?;
    Ok(told == 1)
}

/// What the other processes that live said last. Of those in `known` only what came after the named change is read.
///
/// # Errors
/// When the database cannot be asked.
pub async fn others(
    connection: &mut PgConnection,
    control: Uuid,
    known: &[(Uuid, i64)],
) -> Result<Vec<OtherControl>, StoreError> {
    let (ids, changes): (Vec<_>, Vec<_>) = known.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"select c.id, c.heard_change, extract(epoch from now() - c.seen_at)::float8 as "age!",
                  case when k.id is null then c.heard end as heard
           from controls c
           left join unnest($2::uuid[], $3::bigint[]) as k (id, change) on k.id = c.id and k.change = c.heard_change
           where c.id <> $1 and c.seen_at > now() - interval '1 minute'"#,
        control,
        &ids,
        &changes,
    )
    .fetch_all(connection)
    .await?;
    let others = rows.into_iter().map(|row| OtherControl {
        id: row.id,
        age: Duration::try_from_secs_f64(row.age).unwrap_or_default(),
        change: row.heard_change,
        heard: row.heard.map(|nodes| nodes.into_iter().map(NodeId).collect()),
    });
    Ok(others.collect())
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
