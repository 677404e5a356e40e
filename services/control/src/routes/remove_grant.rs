//! `DELETE /clusters/{id}/grants/{user}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::{ClusterId, UserId};

use crate::rest::{ApiPath, ApiResult, Caller};

/// Take a role on a cluster away
///
/// For cluster admins.
#[utoipa::path(delete, path = "/clusters/{id}/grants/{user}", tag = "grants", operation_id = "remove_grant",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("user" = UserId, Path, description = "The person"),
    ),
    responses((status = 204, description = "The role is gone")))]
pub(super) async fn remove_grant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath((id, user)): ApiPath<(ClusterId, UserId)>,
) -> ApiResult<StatusCode> {
    app.remove_grant(&actor, id, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
