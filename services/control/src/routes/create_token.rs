//! `POST /tokens`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::tokens::{CreatedToken, NewToken};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, shown_once};

/// Make an API token
///
/// Its text is shown this once. Takes a session: a token makes no tokens.
#[utoipa::path(post, path = "/tokens", tag = "tokens", operation_id = "create_token", request_body = NewToken,
    responses((status = 201, description = "The token and its text", body = CreatedToken)))]
pub(super) async fn create_token(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewToken>,
) -> ApiResult<Response> {
    let created = app.create_token(&actor, body).await?;
    Ok(shown_once((StatusCode::CREATED, Json(created))))
}
