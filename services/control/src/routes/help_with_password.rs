//! `POST /accounts/password-link`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::passwords::PasswordLink;
use updraft_api::tenants::AccountInNeed;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, shown_once};

/// Make a link to set a new password, for an account that no owner may help
///
/// Good once, for a day; those made before are worth nothing any more. The organisations of the account find it in their
/// audit logs. For operators of the installation.
#[utoipa::path(post, path = "/accounts/password-link", tag = "tenants", operation_id = "help_with_password",
    request_body = AccountInNeed, responses((status = 201, description = "The link", body = PasswordLink)))]
pub(super) async fn help_with_password(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<AccountInNeed>,
) -> ApiResult<Response> {
    let link = app.help_with_password(&actor, &body).await?;
    Ok(shown_once((StatusCode::CREATED, Json(link))))
}
