//! `ETag` and `If-Match`: a spec's ETag is its generation.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use updraft_model::Generation;

use super::{ApiError, ApiResult};

/// The generation the client has seen; required.
pub(crate) struct IfMatch(pub(crate) Generation);

pub(crate) fn etag(generation: Generation) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{generation}\"")).ok()
}

// === impl IfMatch ===

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(missing());
        };
        value.to_str().ok().and_then(read).map(Self).ok_or_else(unusable)
    }
}

fn read(text: &str) -> Option<Generation> {
    text.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn missing() -> ApiError {
    ApiError::new(
        StatusCode::PRECONDITION_REQUIRED,
        "precondition-required",
        "A change must say which state of the cluster it was made from.",
        "Fetch the cluster and send its ETag as `If-Match`.",
    )
    .on_field("If-Match")
}

fn unusable() -> ApiError {
    ApiError::new(
        StatusCode::PRECONDITION_FAILED,
        "generation-mismatch",
        "The `If-Match` header names no generation of this cluster.",
        "Fetch the cluster and send its ETag as it is, with its quotes.",
    )
    .on_field("If-Match")
}

#[cfg(test)]
mod tests {
    use updraft_model::Generation;

    use super::{etag, read};

    #[test]
    fn an_etag_comes_back_as_the_generation_it_was() {
        let tag = etag(Generation(12)).unwrap();
        assert_eq!(tag, "\"12\"");
        assert_eq!(read(tag.to_str().unwrap()), Some(Generation(12)));
    }

    #[test]
    fn neither_any_nor_weak_nor_bare_tags_are_generations() {
        for bad in ["*", "W/\"12\"", "12", "\"\"", "\"a\"", "\"1\", \"2\""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
