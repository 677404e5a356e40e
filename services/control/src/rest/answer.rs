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

/// Marks an answer that holds a secret: it is given once, and no repetition of the request gets it again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownOnce;

pub(crate) fn shown_once(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(ShownOnce);
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
