//! Refusals as RFC 9457 problems, with the id of the request.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use updraft_api::Problem;
use updraft_app::AppError;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// A refusal: from a use case, or from HTTP itself.
#[derive(Debug)]
pub(crate) struct ApiError {
    problem: Box<Problem>,
    /// Seconds.
    retry_after: Option<u64>,
}

// === impl ApiError ===

impl ApiError {
    /// A refusal that only HTTP knows; use cases have [`AppError`].
    pub(crate) fn new(
        status: StatusCode,
        kind: &str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Problem {
            kind: format!("urn:updraft:problem:{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            request_id: None,
        };
        Self {
            problem: Box::new(problem),
            retry_after: None,
        }
    }

    pub(crate) fn on_field(mut self, field: impl Into<String>) -> Self {
        self.problem.field = Some(field.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        if error.is_internal() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a request failed for reasons of our own"
            );
        }
        let retry_after = error.retry_after().map(|wait| wait.as_secs() + 1);
        Self {
            problem: Box::new(Problem::from(&error)),
            retry_after,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"updraft\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        // The body is made where the request's id is known.
        response.extensions_mut().insert(*self.problem);
        response
    }
}

/// What the log and the answer call this request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives each request an id and each refusal its body; what refused without a problem of its own gets a general one.
pub(crate) async fn render_problems(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!(
        "rest.request",
        request.id = %id,
        http.method = %request.method(),
        http.path = request.uri().path(),
    );
    let response = tracing::Instrument::instrument(next.run(request), span).await;
    let mut response = with_problem_body(response, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn with_problem_body(mut response: Response, id: &str) -> Response {
    let status = response.status();
    let own = response.extensions_mut().remove::<Problem>();
    let problem = match own {
        Some(problem) => problem,
        None if (status.is_client_error() || status.is_server_error()) && !is_json(&response) => {
            general(status)
        }
        None => return response,
    };
    let (mut parts, _) = response.into_parts();
    let body = Json(Problem {
        request_id: Some(id.to_owned()),
        ..problem
    });
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    Response::from_parts(parts, body.into_response().into_body())
}

fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/json")
}

fn general(status: StatusCode) -> Problem {
    let title = format!(
        "The request was refused: {}.",
        status.canonical_reason().unwrap_or("unknown")
    );
    let refused = ApiError::new(
        status,
        "refused",
        title,
        "Check the request against /api/v1/docs.",
    );
    *refused.problem
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::http::{StatusCode, header};
    use axum::response::IntoResponse as _;

    use super::with_problem_body;

    #[test]
    fn a_bare_refusal_becomes_a_problem() {
        let refused = with_problem_body(StatusCode::BAD_GATEWAY.into_response(), "id");
        assert_eq!(
            refused.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
    }

    #[test]
    fn a_failure_that_is_an_answer_stays_one() {
        let health = (StatusCode::SERVICE_UNAVAILABLE, Json("degraded")).into_response();
        assert_eq!(
            with_problem_body(health, "id").headers()[header::CONTENT_TYPE],
            "application/json"
        );
    }
}
