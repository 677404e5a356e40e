//! `GET /tenants/{tenant}`

use axum::Json;
use axum::extract::State;
use updraft_api::tenants::TenantView;
use updraft_app::App;
use updraft_model::TenantId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Show a tenant
///
/// For operators of the installation.
#[utoipa::path(get, path = "/tenants/{tenant}", tag = "tenants", operation_id = "show_tenant",
    params(("tenant" = TenantId, Path, description = "The tenant")),
    responses((status = 200, description = "The tenant", body = TenantView)))]
pub(super) async fn show_tenant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(tenant): ApiPath<TenantId>,
) -> ApiResult<Json<TenantView>> {
    Ok(Json(app.show_tenant(&actor, tenant).await?))
}
