//! `GET /clusters/{id}/logs`

use axum::Json;
use axum::extract::State;
use updraft_api::logs::{LogPage, LogQuery};
use updraft_app::App;
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller};

/// Read logs
///
/// A page of lines in order of time, of the range's newest unless `order` says otherwise; also of nodes that are gone, and
/// while the cluster is stopped. Tasks' logs are for everyone with a role on the cluster, services' for its admins. One
/// request reads only so much: then `stopped` says where, and `next` goes on there.
#[utoipa::path(get, path = "/clusters/{id}/logs", tag = "logs", operation_id = "list_logs",
    params(("id" = ClusterId, Path, description = "The cluster"), LogQuery),
    responses((status = 200, description = "A page of lines", body = LogPage)))]
pub(super) async fn list_logs(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> ApiResult<Json<LogPage>> {
    Ok(Json(app.list_logs(&actor, id, query).await?))
}
