//! `POST /clusters/{id}/rotate-keys`

use axum::extract::State;
use axum::response::Response;
use updraft_api::rest::Accepted;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller, accepted};

/// Rotate a cluster's keys
///
/// Its certificate authority, Fernet key, secrets of tokens, and passwords of broker and database become others. Its nodes end
/// for that, workers once their tasks are done; a cluster that is to run starts again with the new ones.
#[utoipa::path(post, path = "/clusters/{id}/rotate-keys", tag = "clusters", operation_id = "rotate_keys",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn rotate_keys(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Response> {
    Ok(accepted(app.rotate_keys(&actor, id).await?))
}
