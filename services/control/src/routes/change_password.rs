//! `PUT /me/password`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::rest::ChangePassword;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, ClientAddress};

/// Change one's password
///
/// Ends all other sessions of this person.
#[utoipa::path(put, path = "/me/password", tag = "sign-in", operation_id = "change_password",
    request_body = ChangePassword, responses((status = 204, description = "The new password holds")))]
pub(super) async fn change_password(
    State(app): State<App>,
    Caller(actor): Caller,
    ClientAddress(address): ClientAddress,
    ApiJson(body): ApiJson<ChangePassword>,
) -> ApiResult<StatusCode> {
    app.change_password(&actor, body, address).await?;
    Ok(StatusCode::NO_CONTENT)
}
