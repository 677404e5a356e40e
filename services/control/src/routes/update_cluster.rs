//! `PATCH /clusters/{id}`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::{Accepted, UpdateCluster};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller, IfMatch, accepted};

/// Change a cluster
///
/// What is absent stays as it is. 428 without `If-Match`; 412 when the cluster was changed in the meantime.
#[utoipa::path(patch, path = "/clusters/{id}", tag = "clusters", operation_id = "update_cluster",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("If-Match" = String, Header, description = "The ETag the change was made from"),
    ),
    request_body = UpdateCluster, responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn update_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    IfMatch(seen): IfMatch,
    ApiJson(body): ApiJson<UpdateCluster>,
) -> ApiResult<Response> {
    Ok(accepted(app.update_cluster(&actor, id, seen, body).await?))
}
