//! `DELETE /people/{user}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::UserId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Remove a person
///
/// With their sessions and roles; the last owner stays. For owners of the organisation.
#[utoipa::path(delete, path = "/people/{user}", tag = "people", operation_id = "remove_person",
    params(("user" = UserId, Path, description = "The person")),
    responses((status = 204, description = "The person is gone")))]
pub(super) async fn remove_person(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(user): ApiPath<UserId>,
) -> ApiResult<StatusCode> {
    app.remove_person(&actor, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
