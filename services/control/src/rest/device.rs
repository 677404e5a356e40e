//! OAuth's way of refusing, for the two operations that are OAuth's.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use updraft_api::device::{DeviceError, DeviceRefused};

/// 400 with `error` and `error_description` (RFC 6749, section 5.2).
pub(crate) fn device_refused(error: DeviceError, description: &str) -> Response {
    let refused = DeviceRefused {
        error,
        error_description: description.to_owned(),
    };
    let mut response = (StatusCode::BAD_REQUEST, Json(refused)).into_response();
    // For the audit log.
    response.extensions_mut().insert(error);
    response
}
