//! `PATCH /clusters/{id}/secrets`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::Accepted;
use updraft_api::task_secrets::ChangeTaskSecrets;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller, accepted};

/// Set and remove secrets of a cluster's tasks
///
/// Tasks see each as an environment variable; `AIRFLOW_CONN_…` is a connection, `AIRFLOW_VAR_…` a variable of Airflow.
/// All that is named is one change: services restart with it, workers once their tasks are done. For admins of the cluster.
#[utoipa::path(patch, path = "/clusters/{id}/secrets", tag = "secrets", operation_id = "change_task_secrets",
    params(("id" = ClusterId, Path, description = "The cluster")),
    request_body = ChangeTaskSecrets, responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn change_task_secrets(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiJson(body): ApiJson<ChangeTaskSecrets>,
) -> ApiResult<Response> {
    Ok(accepted(app.change_task_secrets(&actor, id, body).await?))
}
