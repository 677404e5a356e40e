//! `POST /sessions`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::rest::{SignIn, SignedIn};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, ClientAddress};

/// Sign in
///
/// The token is shown once. Too many tries are refused with 429 and `Retry-After`.
#[utoipa::path(post, path = "/sessions", tag = "sign-in", operation_id = "sign_in", request_body = SignIn,
    responses((status = 201, description = "Signed in", body = SignedIn)), security(()))]
pub(super) async fn sign_in(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    ApiJson(body): ApiJson<SignIn>,
) -> ApiResult<(StatusCode, Json<SignedIn>)> {
    Ok((StatusCode::CREATED, Json(app.sign_in(body, address).await?)))
}
