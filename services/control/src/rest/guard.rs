//! What is refused before anything is looked at, and what happens when there is nothing to look at.

use std::any::Any;

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{ApiError, ApiResult, RestState};

/// Refuses requests for a host that is not ours.
pub(crate) async fn require_known_host(
    State(state): State<RestState>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let authority = request.uri().authority().map(ToString::to_string);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts
        .next()
        .and_then(|host| host.to_str().ok())
        .map(str::to_owned);
    let named = authority.or(host).filter(|_| hosts.next().is_none());
    let known = |name: &String| {
        state
            .config
            .allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name))
    };
    if named.as_ref().is_some_and(known) {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "unknown-host",
        "This server does not answer under the host name you used.",
        "Use the console's own address.",
    ))
}

pub(crate) async fn unknown_path(uri: Uri) -> ApiError {
    let shown: String = uri.path().chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not-found",
        format!("There is nothing at `{shown}`."),
        "See /api/v1/docs for what there is.",
    )
}

pub(crate) async fn unknown_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!("`{}` cannot be done here.", request.method()),
        "The Allow header names what can.",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
pub(crate) fn when_panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("nothing");
    tracing::error!(panic = said, "a handler panicked");
    ApiError::from(updraft_app::AppError::Internal { what: "a handler" }).into_response()
}
