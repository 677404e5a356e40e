//! The lives of nodes: intended → launched → terminating → gone, and between launched and kept as often as their cluster is
//! stopped and started; each step a statement that states what it expects.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, QueueName, TenantId};

use crate::StoreError;
use crate::error::{one_row, word};

/// A node that is not gone.
#[derive(Clone, Debug)]
pub struct NodeRecord {
    pub id: NodeId,
    pub role: NodeRole,
    pub ordinal: u32,
    /// Whose tasks it takes, if it is a worker.
    pub queue: Option<QueueName>,
    /// Instead of what the installation has for its role.
    pub instance_type: Option<String>,
    pub generation: Generation,
    pub state: RecordState,
    pub request: serde_json::Value,
    pub client_token: String,
    pub provider_id: Option<String>,
    pub address: Option<String>,
    pub launch_attempts: u32,
    pub launch_attempted_at: Option<DateTime<Utc>>,
    pub launch_failure: Option<LaunchFailureRecord>,
    pub stop_asked_at: Option<DateTime<Utc>>,
    /// When its machine was last asked to stand still.
    pub switch_asked_at: Option<DateTime<Utc>>,
    /// How often, in a row, the provider said that it will not be switched off or on.
    pub switch_refusals: u32,
    pub loss: Option<String>,
    pub assignment_version: i64,
    pub report: Option<serde_json::Value>,
    /// When that was written; none since it was last started.
    pub reported_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub launched_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    Intended,
    Launched,
    Kept,
    Terminating,
    Gone,
}

/// How the last launch failed: at once, or after the provider had taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchFailureRecord {
    pub kind: String,
    pub message: String,
}

#[derive(Clone, Debug)]
pub struct NewNode {
    pub id: NodeId,
    pub cluster: ClusterId,
    pub role: NodeRole,
    pub ordinal: u32,
    pub queue: Option<QueueName>,
    pub instance_type: Option<String>,
    pub generation: Generation,
    pub request: serde_json::Value,
    pub client_token: String,
}

/// A node given up and gone.
#[derive(Clone, Debug)]
pub struct LostNode {
    pub role: NodeRole,
    pub ordinal: u32,
    pub loss: String,
    /// Why the provider ended it while it started, if it said so.
    pub launch_failure: Option<LaunchFailureRecord>,
    pub gone_at: DateTime<Utc>,
}

struct Row {
    id: uuid::Uuid,
    role: String,
    ordinal: i32,
    queue: Option<String>,
    instance_type: Option<String>,
    generation: i64,
    state: String,
    request: serde_json::Value,
    client_token: String,
    provider_id: Option<String>,
    address: Option<String>,
    launch_attempts: i32,
    launch_attempted_at: Option<DateTime<Utc>>,
    launch_failure: Option<Json<LaunchFailureRecord>>,
    stop_asked_at: Option<DateTime<Utc>>,
    switch_asked_at: Option<DateTime<Utc>>,
    switch_refusals: i32,
    loss: Option<String>,
    assignment_version: i64,
    report: Option<serde_json::Value>,
    reported_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    launched_at: Option<DateTime<Utc>>,
}

/// The cluster's nodes that are not gone.
///
/// # Errors
/// When the database cannot be asked.
pub async fn live(connection: &mut PgConnection, cluster: ClusterId) -> Result<Vec<NodeRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, role, ordinal, queue, instance_type, generation, state, request, client_token, provider_id, address,
                  launch_attempts, launch_attempted_at,
                  launch_failure as "launch_failure: Json<LaunchFailureRecord>",
                  stop_asked_at, switch_asked_at, switch_refusals, loss, assignment_version, report, reported_at, created_at, launched_at
           from nodes where cluster_id = $1 and state <> 'gone'
           order by array_position(array['scheduler', 'web', 'worker'], role), ordinal"#,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(NodeRecord::try_from).collect()
}

/// Nodes that were started, or started anew, and have not reported since.
///
/// # Errors
/// When the database cannot be asked.
pub async fn unreported(connection: &mut PgConnection) -> Result<Vec<NodeId>, StoreError> {
    let found = sqlx::query_scalar!("select id from nodes where report is null and state = 'launched'")
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(NodeId).collect())
}

/// Which of these nodes were ever recorded, gone or not.
///
/// # Errors
/// When the database cannot be asked.
pub async fn recorded(connection: &mut PgConnection, nodes: &[NodeId]) -> Result<Vec<NodeId>, StoreError> {
    let ids: Vec<_> = nodes.iter().map(|node| node.0).collect();
    let found = sqlx::query_scalar!("select id from nodes where id = any($1)", &ids)
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(NodeId).collect())
}

/// Which of these nodes are on record as gone.
///
/// # Errors
/// When the database cannot be asked.
pub async fn gone(connection: &mut PgConnection, nodes: &[NodeId]) -> Result<Vec<NodeId>, StoreError> {
    let ids: Vec<_> = nodes.iter().map(|node| node.0).collect();
    let found = sqlx::query_scalar!("select id from nodes where id = any($1) and state = 'gone'", &ids)
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(NodeId).collect())
}

/// Records a node before the provider is asked for it.
///
/// # Errors
/// [`StoreError::Conflict`] on `nodes_one_per_place` when its place is taken.
pub async fn intend(connection: &mut PgConnection, node: &NewNode) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into nodes (id, cluster_id, role, ordinal, generation, state, request, client_token, queue,
                            instance_type)
         values ($1, $2, $3, $4, $5, 'intended', $6, $7, $8, $9)",
        node.id.0,
        node.cluster.0,
        node.role.as_str(),
        ordinal(node.ordinal)?,
        node.generation.0,
        node.request,
        node.client_token,
        node.queue.as_ref().map(QueueName::as_str),
        node.instance_type,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that the provider is about to be asked. The bootstrap token is good from now on, unless it was used.
///
/// # Errors
/// [`StoreError::Missing`] when the node is no longer only intended.
pub async fn begin_launch(
    connection: &mut PgConnection,
    node: NodeId,
    bootstrap_hash: &[u8],
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes
         set launch_attempts = launch_attempts + 1, launch_attempted_at = now(), launch_failure = null,
             bootstrap_hash = case when identity_hash is null then $2::bytea end, bootstrap_expires_at = $3
         where id = $1 and state = 'intended'",
        node.0,
        bootstrap_hash,
        expires_at,
    )
    .execute(connection)
    .await?;
    one_row("intended node", done.rows_affected())
}

/// # Errors
/// [`StoreError::Missing`] when the node is no longer only intended.
pub async fn record_launched(
    connection: &mut PgConnection,
    node: NodeId,
    provider_id: &str,
    address: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set state = 'launched', provider_id = $2, address = $3, launched_at = now()
         where id = $1 and state = 'intended'",
        node.0,
        provider_id,
        address,
    )
    .execute(connection)
    .await?;
    one_row("intended node", done.rows_affected())
}

/// Records how the launch ended. What an unclear one made may turn up from now on: the call may have gone out late.
///
/// # Errors
/// [`StoreError::Missing`] when the node is no longer only intended.
pub async fn record_launch_failure(
    connection: &mut PgConnection,
    node: NodeId,
    failure: &LaunchFailureRecord,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set launch_failure = $2, launch_attempted_at = now() where id = $1 and state = 'intended'",
        node.0,
        Json(failure) as _,
    )
    .execute(connection)
    .await?;
    one_row("intended node", done.rows_affected())
}

/// Records why the provider ended a node whose launch it had taken. It stays with the record of a node that is gone.
///
/// # Errors
/// [`StoreError::Missing`] when the node is only intended, or gone.
pub async fn record_late_failure(
    connection: &mut PgConnection,
    node: NodeId,
    failure: &LaunchFailureRecord,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set launch_failure = $2 where id = $1 and state in ('launched', 'terminating')",
        node.0,
        Json(failure) as _,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// Records that the provider is about to be asked to start a stopped node: what it reported before is void, and its
/// agent's time to report begins now, for the answer may never be heard.
///
/// # Errors
/// [`StoreError::Missing`] when the node is not launched.
pub async fn begin_start(connection: &mut PgConnection, node: NodeId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set launched_at = now(), report = null, reported_at = null
         where id = $1 and state = 'launched'",
        node.0,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// Records where a node is that was started again.
///
/// # Errors
/// [`StoreError::Missing`] when the node is not launched.
pub async fn record_address(
    connection: &mut PgConnection,
    node: NodeId,
    address: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set address = $2, switch_refusals = 0 where id = $1 and state = 'launched'",
        node.0,
        address,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// Records that the provider is about to be asked to have its machine stand still.
///
/// # Errors
/// [`StoreError::Missing`] when the node is neither launched nor kept.
pub async fn ask_switch_off(connection: &mut PgConnection, node: NodeId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set switch_asked_at = now() where id = $1 and state in ('launched', 'kept')",
        node.0,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// Counts that the provider will not switch its machine off or on; how often in a row that is by now.
///
/// # Errors
/// [`StoreError::Missing`] when the node is neither launched nor kept.
pub async fn count_refusal(connection: &mut PgConnection, node: NodeId) -> Result<u32, StoreError> {
    let count = sqlx::query_scalar!(
        "update nodes set switch_refusals = switch_refusals + 1
         where id = $1 and state in ('launched', 'kept') returning switch_refusals",
        node.0,
    )
    .fetch_optional(connection)
    .await?;
    count.map(i32::unsigned_abs).ok_or(StoreError::Missing {
        what: "launched node",
    })
}

/// Records that its machine stands still, and that it is kept.
///
/// # Errors
/// [`StoreError::Missing`] when the node is not launched.
pub async fn keep(connection: &mut PgConnection, node: NodeId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes
         set state = 'kept', stop_asked_at = null, switch_asked_at = null, switch_refusals = 0,
             report = null, reported_at = null
         where id = $1 and state = 'launched'",
        node.0,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// Records that a kept node is wanted again. It is started by the next look that sees it stand still.
///
/// # Errors
/// [`StoreError::Missing`] when the node is not kept.
pub async fn wake(connection: &mut PgConnection, node: NodeId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes
         set state = 'launched', power = 'run', launched_at = now(), switch_asked_at = null,
             report = null, reported_at = null
         where id = $1 and state = 'kept'",
        node.0,
    )
    .execute(connection)
    .await?;
    one_row("kept node", done.rows_affected())
}

/// # Errors
/// [`StoreError::Missing`] when the node is not launched.
pub async fn ask_stop(
    connection: &mut PgConnection,
    node: NodeId,
    loss: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes
         set power = 'stop', stop_asked_at = coalesce(stop_asked_at, now()), loss = coalesce(loss, $2)
         where id = $1 and state = 'launched'",
        node.0,
        loss,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// Records that the provider is about to be asked to end it, under the id it is known by there.
///
/// # Errors
/// [`StoreError::Missing`] when the node is gone.
pub async fn begin_termination(
    connection: &mut PgConnection,
    node: NodeId,
    loss: Option<&str>,
    provider_id: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes
         set state = 'terminating', power = 'stop', loss = coalesce(loss, $2),
             provider_id = coalesce(provider_id, $3), bootstrap_hash = null
         where id = $1 and state <> 'gone'",
        node.0,
        loss,
        provider_id,
    )
    .execute(connection)
    .await?;
    one_row("node", done.rows_affected())
}

/// Records that the provider has it no more; its identity is void.
///
/// # Errors
/// [`StoreError::Missing`] when the node is gone already.
pub async fn forget(
    connection: &mut PgConnection,
    node: NodeId,
    loss: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes
         set state = 'gone', gone_at = now(), loss = coalesce(loss, $2), bootstrap_hash = null, identity_hash = null
         where id = $1 and state <> 'gone'",
        node.0,
        loss,
    )
    .execute(connection)
    .await?;
    one_row("node", done.rows_affected())
}

/// Nodes lost since then, oldest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lost_since(
    connection: &mut PgConnection,
    cluster: ClusterId,
    since: DateTime<Utc>,
) -> Result<Vec<LostNode>, StoreError> {
    let rows = sqlx::query!(
        r#"select role, ordinal, loss as "loss!", launch_failure as "launch_failure: Json<LaunchFailureRecord>",
                  gone_at as "gone_at!"
           from nodes
           where cluster_id = $1 and loss is not null and state = 'gone' and gone_at > $2 order by gone_at"#,
        cluster.0,
        since,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(LostNode {
                role: word("node role", &row.role)?,
                ordinal: row.ordinal.unsigned_abs(),
                loss: row.loss,
                launch_failure: row.launch_failure.map(|failure| failure.0),
                gone_at: row.gone_at,
            })
        })
        .collect()
}

/// Keeps an agent's report whose transitions matter.
///
/// # Errors
/// [`StoreError::Missing`] when the node is not launched.
pub async fn record_report(
    connection: &mut PgConnection,
    node: NodeId,
    report: &serde_json::Value,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update nodes set report = $2, reported_at = now()
         where id = $1 and state in ('intended', 'launched', 'kept')",
        node.0,
        report,
    )
    .execute(connection)
    .await?;
    one_row("launched node", done.rows_affected())
}

/// What was kept last of a node that is launched, or will be (again).
///
/// # Errors
/// When the database cannot be asked.
pub async fn report(
    connection: &mut PgConnection,
    node: NodeId,
) -> Result<Option<serde_json::Value>, StoreError> {
    let kept = sqlx::query_scalar!(
        "select report from nodes where id = $1 and state in ('intended', 'launched', 'kept')",
        node.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(kept.flatten())
}

/// Whose node it is, and its label.
///
/// # Errors
/// When the database cannot be asked.
pub async fn owner(
    connection: &mut PgConnection,
    node: NodeId,
) -> Result<Option<(TenantId, ClusterId, String)>, StoreError> {
    let row = sqlx::query!(
        r#"select c.tenant_id, n.cluster_id, n.role || '-' || n.ordinal as "label!"
           from nodes n join clusters c on c.id = n.cluster_id where n.id = $1"#,
        node.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (TenantId(row.tenant_id), ClusterId(row.cluster_id), row.label)))
}

/// Workers recorded before there were queues take the tasks of `default`.
pub(crate) fn queue(role: NodeRole, name: Option<String>) -> Result<Option<QueueName>, StoreError> {
    let corrupt = |_| StoreError::Corrupt { what: "queue" };
    match (role, name) {
        (NodeRole::Scheduler | NodeRole::Web, _) => Ok(None),
        (NodeRole::Worker, None) => Ok(Some(QueueName::default())),
        (NodeRole::Worker, Some(name)) => name.parse().map(Some).map_err(corrupt),
    }
}

fn ordinal(ordinal: u32) -> Result<i32, StoreError> {
    i32::try_from(ordinal).map_err(|_| StoreError::Corrupt { what: "ordinal" })
}

// === impl NodeRecord ===

impl NodeRecord {
    /// `worker-2`
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}-{}", self.role, self.ordinal)
    }
}

impl TryFrom<Row> for NodeRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let role = word("node role", &row.role)?;
        Ok(Self {
            id: NodeId(row.id),
            role,
            ordinal: row.ordinal.unsigned_abs(),
            queue: queue(role, row.queue)?,
            instance_type: row.instance_type,
            generation: Generation(row.generation),
            state: word("node state", &row.state)?,
            request: row.request,
            client_token: row.client_token,
            provider_id: row.provider_id,
            address: row.address,
            launch_attempts: row.launch_attempts.unsigned_abs(),
            launch_attempted_at: row.launch_attempted_at,
            launch_failure: row.launch_failure.map(|failure| failure.0),
            stop_asked_at: row.stop_asked_at,
            switch_asked_at: row.switch_asked_at,
            switch_refusals: row.switch_refusals.unsigned_abs(),
            loss: row.loss,
            assignment_version: row.assignment_version,
            report: row.report,
            reported_at: row.reported_at,
            created_at: row.created_at,
            launched_at: row.launched_at,
        })
    }
}
