//! `GET /health`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::rest::Health;
use updraft_app::App;

/// Does control work?
///
/// 503 when it does not.
#[utoipa::path(get, path = "/health", tag = "server", operation_id = "health",
    responses((status = 200, description = "It works", body = Health),
        (status = 503, description = "It does not", body = Health)), security(()))]
pub(super) async fn health(State(app): State<App>) -> Health503 {
    Health503(app.health().await)
}

/// A health whose status code agrees with it.
pub(super) struct Health503(Health);

impl axum::response::IntoResponse for Health503 {
    fn into_response(self) -> axum::response::Response {
        let status = if self.0.database {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(self.0)).into_response()
    }
}
