//! `GET /access-rules`

use axum::Json;
use axum::extract::State;
use updraft_api::access::AccessRuleView;
use updraft_api::rest::Page;
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List access rules
///
/// Oldest first. For owners of the organisation.
#[utoipa::path(get, path = "/access-rules", tag = "access", operation_id = "list_access_rules", params(PageQuery),
    responses((status = 200, description = "A page of rules", body = Page<AccessRuleView>)))]
pub(super) async fn list_access_rules(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<AccessRuleView>>> {
    Ok(Json(app.list_access_rules(&actor, page.into()).await?))
}
