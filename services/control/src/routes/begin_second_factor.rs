//! `POST /me/second-factor`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::passwords::SecondFactorBegun;
use updraft_app::App;

use crate::rest::{ApiResult, Caller, shown_once};

/// Begin to set up a second factor
///
/// Gives an authenticator app's secret (TOTP, RFC 6238), which counts once a code of it was shown.
#[utoipa::path(post, path = "/me/second-factor", tag = "sign-in", operation_id = "begin_second_factor",
    responses((status = 201, description = "The secret", body = SecondFactorBegun)))]
pub(super) async fn begin_second_factor(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Response> {
    let begun = app.begin_second_factor(&actor).await?;
    Ok(shown_once((StatusCode::CREATED, Json(begun))))
}
