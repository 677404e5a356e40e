//! `GET /clusters`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{ClusterView, Page};
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List clusters
///
/// Those one has a role on, by id.
#[utoipa::path(get, path = "/clusters", tag = "clusters", operation_id = "list_clusters", params(PageQuery),
    responses((status = 200, description = "A page of clusters", body = Page<ClusterView>)))]
pub(super) async fn list_clusters(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<ClusterView>>> {
    Ok(Json(app.list_clusters(&actor, page.into()).await?))
}
