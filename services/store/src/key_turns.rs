//! How far the turn of a cluster's keys is: which keys its nodes are given, and whether there are to be any nodes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{ClusterId, Failure, Generation, TenantId};

use crate::StoreError;
use crate::error::{one_row, text, word};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStage {
    /// The cluster's nodes end; they and the database have the old keys.
    Draining,
    /// There are new ones; the database's password is to follow.
    Turned,
    /// Nodes have the new ones; what Airflow keeps encrypted is about to be written anew.
    Reencrypting,
    /// That did not work: nodes read with either Fernet key.
    Both,
    Settled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTurn {
    pub stage: KeyStage,
    /// The generation that asked for it.
    pub attempt: Generation,
    /// Why what Airflow keeps encrypted is not written anew.
    pub failure: Option<Failure>,
    pub changed_at: DateTime<Utc>,
}

/// The last turn of a tenant's cluster; none when there never was one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Option<KeyTurn>, StoreError> {
    let row = sqlx::query!(
        r#"select stage, attempt, failure as "failure: Json<Failure>", changed_at
           from key_turns where tenant_id = $1 and cluster_id = $2"#,
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(KeyTurn {
            stage: word("stage of a turn of keys", &row.stage)?,
            attempt: Generation(row.attempt),
            failure: row.failure.map(|failure| failure.0),
            changed_at: row.changed_at,
        })
    })
    .transpose()
}

/// Begins a turn; one that is under way begins again.
///
/// # Errors
/// When the database cannot be asked.
pub async fn begin(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    attempt: Generation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into key_turns (cluster_id, tenant_id, stage, attempt) values ($1, $2, 'draining', $3)
         on conflict (cluster_id) do update
         set stage = 'draining', attempt = excluded.attempt, failure = null, changed_at = now()
         where key_turns.tenant_id = $2",
        cluster.0,
        tenant.0,
        attempt.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the stage that was reached, provided that it is still this turn at this stage.
///
/// # Errors
/// [`StoreError::Missing`] when a newer turn took over.
pub async fn move_to(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    from: &KeyTurn,
    stage: KeyStage,
    failure: Option<&Failure>,
) -> Result<(), StoreError> {
    let what = "stage of a turn of keys";
    let done = sqlx::query!(
        "update key_turns set stage = $5, failure = $6, changed_at = now()
         where tenant_id = $1 and cluster_id = $2 and attempt = $3 and stage = $4",
        tenant.0,
        cluster.0,
        from.attempt.0,
        text(what, &from.stage)?,
        text(what, &stage)?,
        failure.map(Json) as _,
    )
    .execute(connection)
    .await?;
    one_row("turn of the keys", done.rows_affected())
}
