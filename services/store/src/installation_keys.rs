//! The installation's own keys while they turn: which there are, and what everybody says they go by.
//!
//! What is said is told anew whenever it changes. Who does not say, or said it long ago, is not left out: it counts as
//! not knowing.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::NodeId;
use uuid::Uuid;

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{KeyId, MasterKey};

/// What one process or node goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Names of keys. None: it does not say, or has not said since it was given others.
    pub keys: Option<Vec<String>>,
    /// Since when it says so.
    pub since: DateTime<Utc>,
    /// Whether it is heard of now.
    pub lives: bool,
}

/// What a control process that lives goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSaid {
    /// That others are told to believe.
    pub known: Option<Vec<String>>,
    /// That it uses, or hands out to be used.
    pub signing: Vec<String>,
    pub since: DateTime<Utc>,
}

/// What everybody says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sayings {
    pub controls: Vec<ControlSaid>,
    /// Those that were heard of within an hour.
    pub edges: Vec<Said>,
    /// Web nodes that run.
    pub nodes: Vec<Said>,
}

/// Only one process of control turns keys at a time. Held until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn hold(connection: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('updraft installation keys', 0))")
        .execute(&mut *connection)
        .await?;
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#);
    Ok(now.fetch_one(connection).await?)
}

/// From now on this key is used.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such key that is not used yet.
pub async fn begin_signing(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update control_keys set signs_since = clock_timestamp() where name = $1 and signs_since is null",
        name,
    )
    .execute(connection)
    .await?;
    one_row("unused key", done.rows_affected())
}

/// Notes that another key is wanted in this one's place, and where `distrusted`, that it may be known to others.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such key.
pub async fn ask_turn(connection: &mut PgConnection, name: &str, distrusted: bool) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update control_keys
         set turn_asked_at = coalesce(turn_asked_at, now()),
             distrusted_at = coalesce(distrusted_at, case when $2 then now() end)
         where name = $1",
        name,
        distrusted,
    )
    .execute(connection)
    .await?;
    one_row("key of the installation", done.rows_affected())
}

/// Notes what this control process goes by, and that it lives.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tell(
    connection: &mut PgConnection,
    control: Uuid,
    known: &[String],
    signing: &[String],
    master_key: &MasterKey,
) -> Result<(), StoreError> {
    let master_keys: Vec<_> = master_key.held().iter().map(KeyId::to_string).collect();
    sqlx::query!(
        "insert into controls (id, master_keys, keys_known, keys_signing, keys_since)
         values ($1, $4, $2, $3, clock_timestamp())
         on conflict (id) do update
             set keys_known = excluded.keys_known, keys_signing = excluded.keys_signing, keys_since = clock_timestamp()
             where (controls.keys_known, controls.keys_signing)
                 is distinct from (excluded.keys_known, excluded.keys_signing)",
        control,
        known,
        signing,
        &master_keys,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Wakes those who keep a picture for edges: other keys are to be told.
///
/// # Errors
/// When the database cannot be asked.
pub async fn announce(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("select pg_notify('updraft_policy', '')")
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes by which keys a web node goes from this version of its assignment on.
///
/// # Errors
/// When the database cannot be asked.
pub async fn give(
    connection: &mut PgConnection,
    node: NodeId,
    keys: &[String],
    version: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update nodes set keys_given = $2, keys_version = $3 where id = $1 and keys_given is distinct from $2",
        node.0,
        keys,
        version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn sayings(connection: &mut PgConnection) -> Result<Sayings, StoreError> {
    let controls = sqlx::query!(
        r#"select keys_known, coalesce(keys_signing, '{}') as "signing!", coalesce(keys_since, seen_at) as "since!"
           from controls where seen_at > now() - interval '1 minute'"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let edges = sqlx::query!(
        r#"select keys, coalesce(keys_since, seen_at) as "since!", seen_at > now() - interval '1 minute' as "lives!"
           from edges where seen_at > now() - interval '1 hour'"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let nodes = sqlx::query!(
        r#"select case when (report ->> 'assignment_version')::bigint >= keys_version then keys_given end as keys,
                  created_at
           from nodes where role = 'web' and state = 'launched' and power = 'run'"#
    )
    .fetch_all(connection)
    .await?;
    Ok(Sayings {
        controls: controls
            .into_iter()
            .map(|row| ControlSaid {
                known: row.keys_known,
                signing: row.signing,
                since: row.since,
            })
            .collect(),
        edges: edges
            .into_iter()
            .map(|row| Said {
                keys: row.keys,
                since: row.since,
                lives: row.lives,
            })
            .collect(),
        nodes: nodes
            .into_iter()
            .map(|row| Said {
                keys: row.keys,
                since: row.created_at,
                lives: true,
            })
            .collect(),
    })
}
