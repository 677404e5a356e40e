//! `GET /clusters/{id}/nodes/{node}/boot-log`

use axum::Json;
use axum::extract::State;
use updraft_api::boot_log::BootLogView;
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Show a node's boot log
///
/// The end of what its machine said while it booted, at most 64 KiB of text. Of a node that is gone, too: `worker-1` is the newest
/// there was in that place. For admins of the cluster.
#[utoipa::path(get, path = "/clusters/{id}/nodes/{node}/boot-log", tag = "nodes", operation_id = "show_boot_log",
    params(("id" = ClusterId, Path, description = "The cluster"),
           ("node" = String, Path, description = "The node's label or id")),
    responses((status = 200, description = "What it said", body = BootLogView)))]
pub(super) async fn show_boot_log(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath((id, node)): ApiPath<(ClusterId, String)>,
) -> ApiResult<Json<BootLogView>> {
    Ok(Json(app.boot_log(&actor, id, &node).await?))
}
