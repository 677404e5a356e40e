//! `GET /clusters/{id}`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::ClusterView;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller, with_generation};

/// Show a cluster
///
/// The ETag is its generation: send it as `If-Match` with a change.
#[utoipa::path(get, path = "/clusters/{id}", tag = "clusters", operation_id = "show_cluster",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "The cluster", body = ClusterView)))]
pub(super) async fn show_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Response> {
    let cluster = app.show_cluster(&actor, id).await?;
    Ok(with_generation(cluster.generation, cluster))
}
