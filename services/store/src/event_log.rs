//! The event log as people read it, and what people's own changes add to it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, EventId, NodeId, TenantId};

use crate::StoreError;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    pub id: EventId,
    pub at: DateTime<Utc>,
    pub cluster: Option<ClusterId>,
    pub node: Option<NodeId>,
    pub node_label: Option<String>,
    pub service: Option<String>,
    pub kind: String,
    pub severity: String,
    pub message: String,
}

/// Whose log, as far as this person may see it.
#[derive(Clone, Debug)]
pub struct Scope {
    pub tenant: TenantId,
    /// Events of these clusters alone; without it every event of the tenant.
    pub clusters: Option<Vec<ClusterId>>,
}

struct Row {
    id: i64,
    at: DateTime<Utc>,
    cluster_id: Option<i64>,
    node_id: Option<uuid::Uuid>,
    node_label: Option<String>,
    service: Option<String>,
    kind: String,
    severity: String,
    message: String,
}

/// Adds what a person did. `kind` is stable; `message` is for people.
///
/// # Errors
/// When the database cannot be asked.
pub async fn append(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: Option<ClusterId>,
    kind: &str,
    message: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into events (tenant_id, cluster_id, kind, severity, message) values ($1, $2, $3, 'info', $4)",
        tenant.0,
        cluster.map(|id| id.0),
        kind,
        message,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Events after `after`, oldest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_after(
    connection: &mut PgConnection,
    scope: &Scope,
    after: EventId,
    limit: i64,
) -> Result<Vec<LoggedEvent>, StoreError> {
    let clusters = scope.ids();
    let rows = sqlx::query_as!(
        Row,
        "select e.id, e.at, e.cluster_id, e.node_id, e.node_label, e.service, e.kind, e.severity, e.message
         from events e
         where e.tenant_id = $1 and ($2::bigint[] is null or e.cluster_id = any($2)) and e.id > $3
         order by e.id
         limit $4",
        scope.tenant.0,
        clusters.as_deref(),
        after.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(LoggedEvent::from).collect())
}

/// Events before `before`, newest first; without it the newest there are.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_before(
    connection: &mut PgConnection,
    scope: &Scope,
    before: Option<EventId>,
    limit: i64,
) -> Result<Vec<LoggedEvent>, StoreError> {
    let clusters = scope.ids();
    let rows = sqlx::query_as!(
        Row,
        "select e.id, e.at, e.cluster_id, e.node_id, e.node_label, e.service, e.kind, e.severity, e.message
         from events e
         where e.tenant_id = $1 and ($2::bigint[] is null or e.cluster_id = any($2))
           and ($3::bigint is null or e.id < $3)
         order by e.id desc
         limit $4",
        scope.tenant.0,
        clusters.as_deref(),
        before.map(|id| id.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(LoggedEvent::from).collect())
}

/// The newest event's id over all tenants: where a stream that asks for no past begins.
///
/// # Errors
/// When the database cannot be asked.
pub async fn newest(connection: &mut PgConnection) -> Result<EventId, StoreError> {
    let id = sqlx::query_scalar!(r#"select coalesce(max(id), 0) as "id!" from events"#)
        .fetch_one(connection)
        .await?;
    Ok(EventId(id))
}

// === impl Scope ===

impl Scope {
    fn ids(&self) -> Option<Vec<i64>> {
        let clusters = self.clusters.as_ref()?;
        Some(clusters.iter().map(|id| id.0).collect())
    }
}

// === impl LoggedEvent ===

impl From<Row> for LoggedEvent {
    fn from(row: Row) -> Self {
        Self {
            id: EventId(row.id),
            at: row.at,
            cluster: row.cluster_id.map(ClusterId),
            node: row.node_id.map(NodeId),
            node_label: row.node_label,
            service: row.service,
            kind: row.kind,
            severity: row.severity,
            message: row.message,
        }
    }
}
