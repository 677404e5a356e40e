//! `GET /clusters/{id}/dags/hooks`

use axum::Json;
use axum::extract::State;
use updraft_api::dags::DagHookView;
use updraft_api::rest::Page;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// List webhooks of DAG sources
///
/// Without their secrets. For admins of the cluster.
#[utoipa::path(get, path = "/clusters/{id}/dags/hooks", tag = "dags", operation_id = "list_dag_hooks",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "Its webhooks, on one page", body = Page<DagHookView>)))]
pub(super) async fn list_dag_hooks(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Json<Page<DagHookView>>> {
    Ok(Json(app.list_dag_hooks(&actor, id).await?))
}
