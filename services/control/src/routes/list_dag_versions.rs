//! `GET /clusters/{id}/dags/versions`

use axum::Json;
use axum::extract::State;
use updraft_api::dags::DagVersionView;
use updraft_api::rest::Page;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// List DAG versions
///
/// Newest first: the last 20 and the one that was rolled back to, each with how far it came.
#[utoipa::path(get, path = "/clusters/{id}/dags/versions", tag = "dags", operation_id = "list_dag_versions",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "Its versions, on one page", body = Page<DagVersionView>)))]
pub(super) async fn list_dag_versions(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Json<Page<DagVersionView>>> {
    Ok(Json(app.list_dag_versions(&actor, id).await?))
}
