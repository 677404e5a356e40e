//! Answers that carry more than a body.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use updraft_api::rest::Accepted;
use updraft_model::Generation;

use super::generation::etag;

/// `200` with the generation as ETag.
pub(crate) fn with_generation(generation: Generation, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    if let Some(tag) = etag(generation) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// `202` with the new generation as ETag and where to follow the operation.
pub(crate) fn accepted(body: Accepted) -> Response {
    let location = HeaderValue::from_str(&format!("/api/v1/operations/{}", body.operation.id));
    let mut response = with_generation(body.cluster.generation, body);
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
