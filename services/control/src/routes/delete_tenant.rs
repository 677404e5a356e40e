//! `DELETE /tenants/{tenant}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::TenantId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Delete a tenant
///
/// One without clusters; people who belong nowhere else go with it, the audit log stays. For operators of the
/// installation.
#[utoipa::path(delete, path = "/tenants/{tenant}", tag = "tenants", operation_id = "delete_tenant",
    params(("tenant" = TenantId, Path, description = "The tenant")),
    responses((status = 204, description = "The tenant is gone")))]
pub(super) async fn delete_tenant(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(tenant): ApiPath<TenantId>,
) -> ApiResult<StatusCode> {
    app.delete_tenant(&actor, tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}
