//! `GET /me/second-factor`

use axum::Json;
use axum::extract::State;
use updraft_api::passwords::SecondFactorView;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// See whether signing in takes a code
#[utoipa::path(get, path = "/me/second-factor", tag = "sign-in", operation_id = "show_second_factor",
    responses((status = 200, description = "Whether it does", body = SecondFactorView)))]
pub(super) async fn show_second_factor(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Json<SecondFactorView>> {
    Ok(Json(app.show_second_factor(&actor).await?))
}
