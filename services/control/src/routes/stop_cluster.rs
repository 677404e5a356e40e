//! `POST /clusters/{id}/stop`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::Accepted;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller, accepted};

/// Stop a cluster
///
/// Its database, DAGs and URL stay.
#[utoipa::path(post, path = "/clusters/{id}/stop", tag = "clusters", operation_id = "stop_cluster",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn stop_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Response> {
    Ok(accepted(app.stop_cluster(&actor, id).await?))
}
