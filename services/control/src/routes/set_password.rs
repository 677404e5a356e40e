//! `POST /password`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::passwords::SetPassword;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult};

/// Set a password by a link
///
/// Ends all sessions of the person; the link is worth nothing any more.
#[utoipa::path(post, path = "/password", tag = "sign-in", operation_id = "set_password", request_body = SetPassword,
    responses((status = 204, description = "The new password holds")), security(()))]
pub(super) async fn set_password(
    State(app): State<App>,
    ApiJson(body): ApiJson<SetPassword>,
) -> ApiResult<StatusCode> {
    app.set_password(body).await?;
    Ok(StatusCode::NO_CONTENT)
}
