//! `GET /me`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::Me;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// Who am I?
#[utoipa::path(get, path = "/me", tag = "sign-in", operation_id = "show_me",
    responses((status = 200, description = "The signed-in person", body = Me)))]
pub(super) async fn show_me(State(app): State<App>, Caller(actor): Caller) -> ApiResult<Json<Me>> {
    Ok(Json(app.me(&actor).await?))
}
