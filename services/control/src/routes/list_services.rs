//! `GET /clusters/{id}/services`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{Page, ServiceView};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// List services
///
/// By node, as agents last reported them; all on one page.
#[utoipa::path(get, path = "/clusters/{id}/services", tag = "services", operation_id = "list_services",
    params(("id" = ClusterId, Path, description = "The cluster")),
    responses((status = 200, description = "The services", body = Page<ServiceView>)))]
pub(super) async fn list_services(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
) -> ApiResult<Json<Page<ServiceView>>> {
    Ok(Json(Page {
        items: app.list_services(&actor, id).await?,
        next: None,
    }))
}
