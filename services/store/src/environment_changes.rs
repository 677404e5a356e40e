//! How far the change of a cluster's environment is: what nodes are given until the wanted one has proven itself.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{ClusterId, ClusterSpec, Failure, Generation, NodeRole, TenantId};

use crate::StoreError;
use crate::error::{one_row, text, word};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nodes have what they had.
    Building,
    /// Workers have what is wanted, all others what they had.
    Workers,
    /// All have what is wanted; it is not proven yet.
    All,
    /// They have what is wanted.
    Settled,
    /// It was refused or rolled back: nodes have what they had.
    Abandoned,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentChange {
    pub stage: Stage,
    /// The generation that asked for it.
    pub attempt: Generation,
    /// The last spec whose environment worked.
    pub before: ClusterSpec,
    /// Why it was abandoned.
    pub failure: Option<Failure>,
    pub changed_at: DateTime<Utc>,
}

struct Row {
    cluster_id: i64,
    stage: String,
    attempt: i64,
    before: Json<ClusterSpec>,
    failure: Option<Json<Failure>>,
    changed_at: DateTime<Utc>,
}

/// The change of a tenant's cluster; none when there never was one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Option<EnvironmentChange>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select cluster_id, stage, attempt, before as "before: Json<ClusterSpec>",
                  failure as "failure: Json<Failure>", changed_at
           from environment_changes where tenant_id = $1 and cluster_id = $2"#,
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(EnvironmentChange::try_from).transpose()
}

/// The changes of a tenant's clusters that are not settled.
///
/// # Errors
/// When the database cannot be asked.
pub async fn unsettled(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<HashMap<ClusterId, EnvironmentChange>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select cluster_id, stage, attempt, before as "before: Json<ClusterSpec>",
                  failure as "failure: Json<Failure>", changed_at
           from environment_changes where tenant_id = $1 and stage <> 'settled'"#,
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((ClusterId(row.cluster_id), row.try_into()?)))
        .collect()
}

/// Begins a change; whatever was under way is over.
///
/// # Errors
/// When the database cannot be asked.
pub async fn begin(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    attempt: Generation,
    before: &ClusterSpec,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into environment_changes (cluster_id, tenant_id, stage, attempt, before)
         values ($1, $2, 'building', $3, $4)
         on conflict (cluster_id) do update
         set stage = 'building', attempt = excluded.attempt, before = excluded.before, failure = null,
             changed_at = now()
         where environment_changes.tenant_id = $2",
        cluster.0,
        tenant.0,
        attempt.0,
        Json(before) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the stage that was reached, provided that it is still this attempt.
///
/// # Errors
/// [`StoreError::Missing`] when a newer change took over.
pub async fn move_to(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    attempt: Generation,
    stage: Stage,
    failure: Option<&Failure>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update environment_changes set stage = $4, failure = $5, changed_at = now()
         where tenant_id = $1 and cluster_id = $2 and attempt = $3",
        tenant.0,
        cluster.0,
        attempt.0,
        text("stage of an environment", &stage)?,
        failure.map(Json) as _,
    )
    .execute(connection)
    .await?;
    one_row("change of the environment", done.rows_affected())
}

// === impl EnvironmentChange ===

impl EnvironmentChange {
    /// Which spec nodes of this role are given.
    #[must_use]
    pub fn given<'a>(&'a self, wanted: &'a ClusterSpec, role: NodeRole) -> &'a ClusterSpec {
        match self.stage {
            Stage::Building | Stage::Abandoned => &self.before,
            Stage::Workers if role != NodeRole::Worker => &self.before,
            Stage::Workers | Stage::All | Stage::Settled => wanted,
        }
    }

    /// Which spec says how many nodes there are.
    #[must_use]
    pub fn counted<'a>(&'a self, wanted: &'a ClusterSpec) -> &'a ClusterSpec {
        self.given(wanted, NodeRole::Worker)
    }
}

impl TryFrom<Row> for EnvironmentChange {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            stage: word("stage of an environment", &row.stage)?,
            attempt: Generation(row.attempt),
            before: row.before.0,
            failure: row.failure.map(|failure| failure.0),
            changed_at: row.changed_at,
        })
    }
}
