//! No request is worked on for ever. Streams are unaffected: they answer at once and go on afterwards.

use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::{ApiError, ApiResult};

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn deadline(request: Request, next: Next) -> ApiResult<Response> {
    tokio::time::timeout(LIMIT, next.run(request)).await.map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-slow",
            "The request took longer than 30 seconds.",
            "Try again in a moment; an Idempotency-Key makes that safe.",
        )
        .retry_after(5)
    })
}
