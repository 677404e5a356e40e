//! `GET /clusters/{id}/operations`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{OperationView, Page};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller, PageQuery};

/// List operations
///
/// The cluster's, newest first.
#[utoipa::path(get, path = "/clusters/{id}/operations", tag = "operations", operation_id = "list_operations",
    params(("id" = ClusterId, Path, description = "The cluster"), PageQuery),
    responses((status = 200, description = "A page of operations", body = Page<OperationView>)))]
pub(super) async fn list_operations(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<OperationView>>> {
    Ok(Json(app.list_operations(&actor, id, page.into()).await?))
}
