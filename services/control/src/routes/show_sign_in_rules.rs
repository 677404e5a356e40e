//! `GET /sign-in-rules`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::SignInRules;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// Show how people may sign in
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/sign-in-rules", tag = "sign-in", operation_id = "show_sign_in_rules",
    responses((status = 200, description = "The rules", body = SignInRules)))]
pub(super) async fn show_sign_in_rules(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Json<SignInRules>> {
    Ok(Json(app.sign_in_rules(&actor).await?))
}
