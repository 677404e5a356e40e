//! `DELETE /service-accounts/{user}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::UserId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Delete a service account
///
/// With its tokens and roles. For owners of the organisation.
#[utoipa::path(delete, path = "/service-accounts/{user}", tag = "service accounts",
    operation_id = "delete_service_account",
    params(("user" = UserId, Path, description = "The service account")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_service_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(user): ApiPath<UserId>,
) -> ApiResult<StatusCode> {
    app.delete_service_account(&actor, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
