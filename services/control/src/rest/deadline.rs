//! No request is worked on for ever. Streams are unaffected: they answer at once and go on afterwards.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::{ApiError, ApiResult};

const LIMIT: Duration = Duration::from_secs(30);
/// What takes a large body, over a slow line too.
const UPLOAD: (&str, Duration) = ("/api/v1/clusters/{id}/dags/push", Duration::from_secs(15 * 60));

pub(crate) async fn deadline(request: Request, next: Next) -> ApiResult<Response> {
    let matched = request.extensions().get::<MatchedPath>();
    let limit = match matched {
        Some(path) if path.as_str() == UPLOAD.0 => UPLOAD.1,
        _ => LIMIT,
    };
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-slow",
            format!("The request took longer than {} seconds.", limit.as_secs()),
            "Try again in a moment; an Idempotency-Key makes that safe.",
        )
        .retry_after(5)
    })
}
