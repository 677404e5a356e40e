//! `POST /me/tenant`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::rest::SignedIn;
use updraft_api::tenants::SwitchTenant;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, shown_once};

/// Go to another tenant
///
/// Gives a new session there and ends this one. For sessions that were opened with a password, and tenants that take
/// passwords: what one tenant's identity provider vouches for is good there alone.
#[utoipa::path(post, path = "/me/tenant", tag = "tenants", operation_id = "switch_tenant",
    request_body = SwitchTenant, responses((status = 201, description = "Signed in there", body = SignedIn)))]
pub(super) async fn switch_tenant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<SwitchTenant>,
) -> ApiResult<Response> {
    let signed_in = app.switch_tenant(&actor, body.tenant).await?;
    Ok(shown_once((StatusCode::CREATED, Json(signed_in))))
}
