//! `DELETE /people/{user}/second-factor`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::UserId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Remove the second factor of somebody who lost it
///
/// For accounts that are this organisation's alone. For owners of the organisation, in a session.
#[utoipa::path(delete, path = "/people/{user}/second-factor", tag = "people",
    operation_id = "remove_persons_second_factor", params(("user" = UserId, Path, description = "The person")),
    responses((status = 204, description = "Signing in takes their password alone")))]
pub(super) async fn remove_persons_second_factor(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(user): ApiPath<UserId>,
) -> ApiResult<StatusCode> {
    app.remove_second_factor_of(&actor, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
