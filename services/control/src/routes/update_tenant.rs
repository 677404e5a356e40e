//! `PATCH /tenants/{tenant}`

use axum::Json;
use axum::extract::State;
use updraft_api::tenants::{TenantView, UpdateTenant};
use updraft_app::App;
use updraft_model::TenantId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Change a tenant's quota
///
/// What it has already stays. For operators of the installation.
#[utoipa::path(patch, path = "/tenants/{tenant}", tag = "tenants", operation_id = "update_tenant",
    params(("tenant" = TenantId, Path, description = "The tenant")),
    request_body = UpdateTenant, responses((status = 200, description = "The tenant", body = TenantView)))]
pub(super) async fn update_tenant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(tenant): ApiPath<TenantId>,
    ApiJson(body): ApiJson<UpdateTenant>,
) -> ApiResult<Json<TenantView>> {
    Ok(Json(app.update_tenant(&actor, tenant, body).await?))
}
