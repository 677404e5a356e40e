//! `PUT /clusters/{id}/grants/{user}`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{GrantView, PutGrant};
use updraft_app::App;
use updraft_model::{ClusterId, UserId};

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Give a role on a cluster
///
/// Or change it. For cluster admins.
#[utoipa::path(put, path = "/clusters/{id}/grants/{user}", tag = "grants", operation_id = "put_grant",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("user" = UserId, Path, description = "The person"),
    ),
    request_body = PutGrant, responses((status = 200, description = "The grant", body = GrantView)))]
pub(super) async fn put_grant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath((id, user)): ApiPath<(ClusterId, UserId)>,
    ApiJson(body): ApiJson<PutGrant>,
) -> ApiResult<Json<GrantView>> {
    Ok(Json(app.put_grant(&actor, id, user, body).await?))
}
