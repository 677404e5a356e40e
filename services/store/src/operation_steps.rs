//! The running operation as the reconciler reads and ends it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_model::{ClusterId, Failure, Generation, OperationId, OperationKind, Step};

use crate::StoreError;
use crate::error::{one_row, word};

#[derive(Clone, Debug)]
pub struct RunningOperation {
    pub id: OperationId,
    pub kind: OperationKind,
    pub generation: Generation,
    pub created_at: DateTime<Utc>,
    pub steps: Vec<Step>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn running(
    connection: &mut PgConnection,
    cluster: ClusterId,
) -> Result<Option<RunningOperation>, StoreError> {
    let row = sqlx::query!(
        r#"select id, kind, generation, created_at, steps as "steps: Json<Vec<Step>>"
           from operations where cluster_id = $1 and state = 'running'"#,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(RunningOperation {
            id: OperationId(row.id),
            kind: word("operation kind", &row.kind)?,
            generation: Generation(row.generation),
            created_at: row.created_at,
            steps: row.steps.0,
        })
    })
    .transpose()
}

/// Writes the timeline. An operation that ended meanwhile keeps what it had.
///
/// # Errors
/// When the database cannot be asked.
pub async fn write(
    connection: &mut PgConnection,
    operation: OperationId,
    steps: &[Step],
) -> Result<(), StoreError> {
    sqlx::query!(
        "update operations set steps = $2 where id = $1 and state = 'running'",
        operation.0,
        Json(steps) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the operation: succeeded, or failed with a reason.
///
/// # Errors
/// [`StoreError::Missing`] when it ended or was superseded meanwhile.
pub async fn finish(
    connection: &mut PgConnection,
    operation: OperationId,
    failure: Option<&Failure>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update operations
         set state = case when $2::jsonb is null then 'succeeded' else 'failed' end, failure = $2, finished_at = now()
         where id = $1 and state = 'running'",
        operation.0,
        failure.map(Json) as _,
    )
    .execute(connection)
    .await?;
    one_row("running operation", done.rows_affected())
}
