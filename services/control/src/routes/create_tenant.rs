//! `POST /tenants`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::tenants::{MadeTenant, NewTenant};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, shown_once};

/// Make a tenant
///
/// With its first owner, whose password is shown once. For operators of the installation.
#[utoipa::path(post, path = "/tenants", tag = "tenants", operation_id = "create_tenant", request_body = NewTenant,
    responses((status = 201, description = "The tenant", body = MadeTenant)))]
pub(super) async fn create_tenant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewTenant>,
) -> ApiResult<Response> {
    let made = app.create_tenant(&actor, body).await?;
    Ok(shown_once((StatusCode::CREATED, Json(made))))
}
