//! `DELETE /clusters/{id}`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::Accepted;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller, accepted};

/// Delete a cluster
///
/// For good, with its database.
#[utoipa::path(delete, path = "/clusters/{id}", tag = "clusters", operation_id = "delete_cluster",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn delete_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Response> {
    Ok(accepted(app.delete_cluster(&actor, id).await?))
}
