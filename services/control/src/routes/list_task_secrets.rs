//! `GET /clusters/{id}/secrets`

use axum::Json;
use axum::extract::State;
use updraft_api::task_secrets::TaskSecretList;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// List the secrets of a cluster's tasks
///
/// Names, and when each was set; values are never shown. For admins of the cluster.
#[utoipa::path(get, path = "/clusters/{id}/secrets", tag = "secrets", operation_id = "list_task_secrets",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "The secrets, without their values", body = TaskSecretList)))]
pub(super) async fn list_task_secrets(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Json<TaskSecretList>> {
    Ok(Json(app.list_task_secrets(&actor, id).await?))
}
