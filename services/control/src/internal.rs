//! What the endpoints of the internal listener have in common.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};

/// How long a poll is held when there is nothing new.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(25);

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// Our own trouble: logged here, and the caller tries again.
pub(crate) fn unavailable<E: std::error::Error>(error: E) -> StatusCode {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, source, "an internal request could not be served");
    StatusCode::SERVICE_UNAVAILABLE
}
