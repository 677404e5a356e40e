//! `POST /clusters/{id}/dags/sync`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::dags::SyncAsked;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Look at the DAG sources now
///
/// `GET /clusters/{id}/dags` says when that is done: its `synced` is then the answer's `sync`, or more.
#[utoipa::path(post, path = "/clusters/{id}/dags/sync", tag = "dags", operation_id = "sync_dags",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    responses((status = 202, description = "It was asked for", body = SyncAsked)))]
pub(super) async fn sync_dags(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<(StatusCode, Json<SyncAsked>)> {
    Ok((StatusCode::ACCEPTED, Json(app.sync_dags(&actor, id).await?)))
}
