//! `PUT /clusters/{id}/dags/hooks`

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use updraft_api::dags::{DagHookMade, PutDagHook};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller, shown_once};

/// Make a webhook of a DAG source, or give it another secret
///
/// Its address stays the same for ever; the secret is shown this once. Enter both at GitHub (content type
/// `application/json`) or GitLab. For admins of the cluster.
#[utoipa::path(put, path = "/clusters/{id}/dags/hooks", tag = "dags", operation_id = "put_dag_hook",
    params(("id" = ClusterId, Path, description = "The cluster")),
    request_body = PutDagHook,
    responses((status = 200, description = "The webhook with its secret", body = DagHookMade)))]
pub(super) async fn put_dag_hook(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiJson(body): ApiJson<PutDagHook>,
) -> ApiResult<Response> {
    Ok(shown_once(Json(app.put_dag_hook(&actor, id, body).await?)))
}
