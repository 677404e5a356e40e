//! `DELETE /clusters/{id}/dags/pin`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::dags::SyncAsked;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Follow the DAG sources again
///
/// The end of a rollback.
#[utoipa::path(delete, path = "/clusters/{id}/dags/pin", tag = "dags", operation_id = "follow_dags",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 202, description = "It was asked for", body = SyncAsked)))]
pub(super) async fn follow_dags(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<(StatusCode, Json<SyncAsked>)> {
    Ok((StatusCode::ACCEPTED, Json(app.follow_dags(&actor, id).await?)))
}
