//! `GET /openapi.json`

use axum::Json;
use axum::extract::State;
use utoipa::openapi::OpenApi;

use crate::rest::RestState;

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "server", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")), security(()))]
pub(super) async fn openapi(State(state): State<RestState>) -> Json<OpenApi> {
    Json(OpenApi::clone(&state.openapi))
}
