//! `POST /me/second-factor/confirm`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::passwords::{ConfirmSecondFactor, RecoveryCodesMade};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, ClientAddress, shown_once};

/// Confirm a second factor
///
/// From now on signing in by password takes a code. The recovery codes are shown this once.
#[utoipa::path(post, path = "/me/second-factor/confirm", tag = "sign-in", operation_id = "confirm_second_factor",
    request_body = ConfirmSecondFactor,
    responses((status = 200, description = "The recovery codes", body = RecoveryCodesMade)))]
pub(super) async fn confirm_second_factor(
    State(app): State<App>,
    Caller(actor): Caller,
    ClientAddress(address): ClientAddress,
    ApiJson(body): ApiJson<ConfirmSecondFactor>,
) -> ApiResult<Response> {
    let made = app.confirm_second_factor(&actor, body, address).await?;
    Ok(shown_once((StatusCode::OK, Json(made))))
}
