//! `POST /clusters/{id}/dags/rollback`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::dags::{RollBack, SyncAsked};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Roll DAGs back
///
/// The version becomes live and stays so, whatever the sources say, until `DELETE /clusters/{id}/dags/pin`. Runs that have
/// begun stay with theirs.
#[utoipa::path(post, path = "/clusters/{id}/dags/rollback", tag = "dags", operation_id = "rollback_dags",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    request_body = RollBack, responses((status = 202, description = "It was asked for", body = SyncAsked)))]
pub(super) async fn rollback_dags(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiJson(body): ApiJson<RollBack>,
) -> ApiResult<(StatusCode, Json<SyncAsked>)> {
    let asked = app.roll_back_dags(&actor, id, &body.digest).await?;
    Ok((StatusCode::ACCEPTED, Json(asked)))
}
