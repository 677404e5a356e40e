//! `POST /password/forgotten`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::passwords::ForgottenPassword;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, ClientAddress};

/// Ask for a mail with a link that sets a new password
///
/// The answer is the same for every address: a mail goes out only where there is an account that signs in by password.
/// The link is good once, for an hour. Too many requests are refused with 429 and `Retry-After`; an Updraft without a
/// mail server refuses with 409.
#[utoipa::path(post, path = "/password/forgotten", tag = "sign-in", operation_id = "forgot_password",
    request_body = ForgottenPassword, responses((status = 202, description = "It was asked for")), security(()))]
pub(super) async fn forgot_password(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    ApiJson(body): ApiJson<ForgottenPassword>,
) -> ApiResult<StatusCode> {
    app.forgot_password(body, address).await?;
    Ok(StatusCode::ACCEPTED)
}
