//! `POST /clusters`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::{Accepted, NewCluster};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, accepted};

/// Create a cluster
///
/// A name is enough; it is started at once unless `start` is false. For owners of the organisation.
#[utoipa::path(post, path = "/clusters", tag = "clusters", operation_id = "create_cluster",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewCluster, responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn create_cluster(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewCluster>,
) -> ApiResult<Response> {
    Ok(accepted(app.create_cluster(&actor, body).await?))
}
