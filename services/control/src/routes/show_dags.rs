//! `GET /clusters/{id}/dags`

use axum::Json;
use axum::extract::State;
use updraft_api::dags::DagState;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Show how a cluster's DAGs are
///
/// Its sources and what is wrong with them, the version that is live, on how many nodes, and what Airflow made of it.
#[utoipa::path(get, path = "/clusters/{id}/dags", tag = "dags", operation_id = "show_dags",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "How its DAGs are", body = DagState)))]
pub(super) async fn show_dags(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Json<DagState>> {
    Ok(Json(app.show_dags(&actor, id).await?))
}
