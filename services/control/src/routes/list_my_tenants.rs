//! `GET /me/tenants`

use axum::Json;
use axum::extract::State;
use updraft_api::tenants::MyTenant;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// List your tenants
///
/// Those you belong to, and whether this session can go there.
#[utoipa::path(get, path = "/me/tenants", tag = "tenants", operation_id = "list_my_tenants",
    responses((status = 200, description = "Your tenants", body = Vec<MyTenant>)))]
pub(super) async fn list_my_tenants(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<MyTenant>>> {
    Ok(Json(app.list_my_tenants(&actor).await?))
}
