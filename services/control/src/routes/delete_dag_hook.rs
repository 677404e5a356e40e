//! `DELETE /clusters/{id}/dags/hooks/{hook}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::{ClusterId, DagHookId};

use crate::rest::{ApiPath, ApiResult, Caller};

/// Delete a webhook of a DAG source
///
/// For admins of the cluster.
#[utoipa::path(delete, path = "/clusters/{id}/dags/hooks/{hook}", tag = "dags", operation_id = "delete_dag_hook",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("hook" = DagHookId, Path, description = "The webhook"),
    ),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_dag_hook(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath((id, hook)): ApiPath<(ClusterId, DagHookId)>,
) -> ApiResult<StatusCode> {
    app.delete_dag_hook(&actor, id, hook).await?;
    Ok(StatusCode::NO_CONTENT)
}
