//! `GET /operations/{id}`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::OperationView;
use updraft_app::App;
use updraft_model::OperationId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Show an operation
///
/// With its steps so far; also that which deleted its cluster.
#[utoipa::path(get, path = "/operations/{id}", tag = "operations", operation_id = "show_operation",
    params(("id" = OperationId, Path, description = "The operation")),
    responses((status = 200, description = "The operation", body = OperationView)))]
pub(super) async fn show_operation(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<OperationId>,
) -> ApiResult<Json<OperationView>> {
    Ok(Json(app.show_operation(&actor, id).await?))
}
