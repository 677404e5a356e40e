//! `POST /clusters/{id}/restart`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::Accepted;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller, accepted};

/// Restart a cluster
///
/// Every service of a running cluster ends and begins again.
#[utoipa::path(post, path = "/clusters/{id}/restart", tag = "clusters", operation_id = "restart_cluster",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn restart_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Response> {
    Ok(accepted(app.restart_cluster(&actor, id).await?))
}
