//! `POST /accounts/remove-second-factor`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::tenants::AccountInNeed;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Remove the second factor of somebody whom no owner may help
///
/// The organisations of the account find it in their audit logs. For operators of the installation.
#[utoipa::path(post, path = "/accounts/remove-second-factor", tag = "tenants",
    operation_id = "help_with_second_factor", request_body = AccountInNeed,
    responses((status = 204, description = "Signing in takes their password alone")))]
pub(super) async fn help_with_second_factor(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<AccountInNeed>,
) -> ApiResult<StatusCode> {
    app.help_with_second_factor(&actor, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}
