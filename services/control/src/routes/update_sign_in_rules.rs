//! `PATCH /sign-in-rules`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::{SignInRules, UpdateSignInRules};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Change how people may sign in
///
/// Passwords can be switched off once an owner has signed in through an enabled identity provider. For owners of the organisation.
#[utoipa::path(patch, path = "/sign-in-rules", tag = "sign-in", operation_id = "update_sign_in_rules",
    request_body = UpdateSignInRules,
    responses((status = 200, description = "The rules", body = SignInRules)))]
pub(super) async fn update_sign_in_rules(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<UpdateSignInRules>,
) -> ApiResult<Json<SignInRules>> {
    Ok(Json(app.update_sign_in_rules(&actor, body).await?))
}
