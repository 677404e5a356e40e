//! Asked-for changes: opened, superseded, listed. Their steps are written by `operation_steps`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{
    ClusterId, Failure, Generation, OperationId, OperationKind, OperationState, Step, TenantId, UserId,
};

use crate::StoreError;
use crate::error::{text, word};

#[derive(Clone, Debug)]
pub struct NewOperation {
    pub id: OperationId,
    pub tenant: TenantId,
    pub cluster: ClusterId,
    pub kind: OperationKind,
    pub generation: Generation,
    /// None: Updraft itself.
    pub requested_by: Option<UserId>,
    /// Why Updraft itself asks, where people want to know.
    pub cause: Option<Cause>,
}

/// What people asked Updraft to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Schedule,
    /// Nothing ran and nobody used it.
    Idle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRecord {
    pub id: OperationId,
    pub cluster: ClusterId,
    pub kind: OperationKind,
    pub generation: Generation,
    pub state: OperationState,
    pub steps: Vec<Step>,
    pub failure: Option<Failure>,
    /// The person's address, or why Updraft itself asked; none when they are gone.
    pub requested_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

struct Row {
    id: uuid::Uuid,
    cluster_id: i64,
    kind: String,
    generation: i64,
    state: String,
    steps: Json<Vec<Step>>,
    failure: Option<Json<Failure>>,
    email: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// Opens an operation; the one still running on the cluster is superseded by it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open(connection: &mut PgConnection, operation: &NewOperation) -> Result<(), StoreError> {
    sqlx::query!(
        "update operations set state = 'superseded', finished_at = now()
         where cluster_id = $1 and tenant_id = $2 and state = 'running'",
        operation.cluster.0,
        operation.tenant.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into operations (id, tenant_id, cluster_id, kind, generation, requested_by, cause)
         values ($1, $2, $3, $4, $5, $6, $7)",
        operation.id.0,
        operation.tenant.0,
        operation.cluster.0,
        text("operation kind", &operation.kind)?,
        operation.generation.0,
        operation.requested_by.map(|user| user.0),
        operation.cause.map(|cause| text("cause", &cause)).transpose()?,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    operation: OperationId,
) -> Result<Option<OperationRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select o.id, o.cluster_id, o.kind, o.generation, o.state,
                  o.steps as "steps: Json<Vec<Step>>", o.failure as "failure: Json<Failure>",
                  coalesce(u.email, 'Updraft: ' || o.cause) as "email?", o.created_at, o.finished_at
           from operations o left join users u on u.id = o.requested_by
           where o.tenant_id = $1 and o.id = $2"#,
        tenant.0,
        operation.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(OperationRecord::try_from).transpose()
}

/// The operation under way on a cluster.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_running(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Option<OperationRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select o.id, o.cluster_id, o.kind, o.generation, o.state,
                  o.steps as "steps: Json<Vec<Step>>", o.failure as "failure: Json<Failure>",
                  coalesce(u.email, 'Updraft: ' || o.cause) as "email?", o.created_at, o.finished_at
           from operations o left join users u on u.id = o.requested_by
           where o.tenant_id = $1 and o.cluster_id = $2 and o.state = 'running'"#,
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(OperationRecord::try_from).transpose()
}

/// The cluster's operations, newest first, those before `before` only. Ids are version 7 UUIDs: they sort by time.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    before: Option<OperationId>,
    limit: i64,
) -> Result<Vec<OperationRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select o.id, o.cluster_id, o.kind, o.generation, o.state,
                  o.steps as "steps: Json<Vec<Step>>", o.failure as "failure: Json<Failure>",
                  coalesce(u.email, 'Updraft: ' || o.cause) as "email?", o.created_at, o.finished_at
           from operations o left join users u on u.id = o.requested_by
           where o.tenant_id = $1 and o.cluster_id = $2 and ($3::uuid is null or o.id < $3)
           order by o.id desc
           limit $4"#,
        tenant.0,
        cluster.0,
        before.map(|id| id.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(OperationRecord::try_from).collect()
}

// === impl OperationRecord ===

impl TryFrom<Row> for OperationRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: OperationId(row.id),
            cluster: ClusterId(row.cluster_id),
            kind: word("operation kind", &row.kind)?,
            generation: Generation(row.generation),
            state: word("operation state", &row.state)?,
            steps: row.steps.0,
            failure: row.failure.map(|failure| failure.0),
            requested_by: row.email,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}
