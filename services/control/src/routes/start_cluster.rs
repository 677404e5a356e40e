//! `POST /clusters/{id}/start`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::Accepted;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller, accepted};

/// Start a cluster
///
/// Also tries again one that failed.
#[utoipa::path(post, path = "/clusters/{id}/start", tag = "clusters", operation_id = "start_cluster",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn start_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Response> {
    Ok(accepted(app.start_cluster(&actor, id).await?))
}
