//! `GET /service-accounts`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::Page;
use updraft_api::tokens::ServiceAccountView;
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List service accounts
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/service-accounts", tag = "service accounts", operation_id = "list_service_accounts",
    params(PageQuery),
    responses((status = 200, description = "A page of service accounts", body = Page<ServiceAccountView>)))]
pub(super) async fn list_service_accounts(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<ServiceAccountView>>> {
    Ok(Json(app.list_service_accounts(&actor, page.into()).await?))
}
