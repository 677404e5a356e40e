//! `GET /clusters/{id}/nodes`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{NodeView, Page};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// List nodes
///
/// Scheduler, web, then workers; all on one page.
#[utoipa::path(get, path = "/clusters/{id}/nodes", tag = "nodes", operation_id = "list_nodes",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "The nodes", body = Page<NodeView>)))]
pub(super) async fn list_nodes(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Json<Page<NodeView>>> {
    Ok(Json(Page {
        items: app.list_nodes(&actor, id).await?,
        next: None,
    }))
}
