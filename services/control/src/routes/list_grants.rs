//! `GET /clusters/{id}/grants`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{GrantView, Page};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller, PageQuery};

/// List grants
///
/// Who was given a role on the cluster; owners of the organisation are admins without one. For cluster admins.
#[utoipa::path(get, path = "/clusters/{id}/grants", tag = "grants", operation_id = "list_grants",
    params(("id" = ClusterId, Path, description = "The cluster"), PageQuery),
    responses((status = 200, description = "A page of grants", body = Page<GrantView>)))]
pub(super) async fn list_grants(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<GrantView>>> {
    Ok(Json(app.list_grants(&actor, id, page.into()).await?))
}
