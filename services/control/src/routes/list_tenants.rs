//! `GET /tenants`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::Page;
use updraft_api::tenants::TenantView;
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List tenants
///
/// Their names and numbers. For operators of the installation, signed in with a password of their own.
#[utoipa::path(get, path = "/tenants", tag = "tenants", operation_id = "list_tenants", params(PageQuery),
    responses((status = 200, description = "A page of tenants", body = Page<TenantView>)))]
pub(super) async fn list_tenants(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<TenantView>>> {
    Ok(Json(app.list_tenants(&actor, page.into()).await?))
}
