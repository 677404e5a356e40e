//! `POST /me/second-factor/remove`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::passwords::RemoveSecondFactor;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, ClientAddress};

/// Remove one's second factor
///
/// Takes the password once more.
#[utoipa::path(post, path = "/me/second-factor/remove", tag = "sign-in", operation_id = "remove_second_factor",
    request_body = RemoveSecondFactor,
    responses((status = 204, description = "Signing in takes the password alone")))]
pub(super) async fn remove_second_factor(
    State(app): State<App>,
    Caller(actor): Caller,
    ClientAddress(address): ClientAddress,
    ApiJson(body): ApiJson<RemoveSecondFactor>,
) -> ApiResult<StatusCode> {
    app.remove_second_factor(&actor, body, address).await?;
    Ok(StatusCode::NO_CONTENT)
}
