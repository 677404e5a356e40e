//! Bodies as SCIM has them: resources with their versions, and refusals in the standard's own form.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use updraft_api::Problem;
use updraft_app::{AppError, ScimError, ScimResource};

use super::query::Projection;
use crate::rest::ApiError;

const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");
const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const LONGEST_PROBLEM: usize = 64 * 1024;

pub(super) type Answer = Result<Response, Refusal>;

/// A refusal, with RFC 7644's word for it if it has one.
pub(super) struct Refusal {
    error: ApiError,
    scim_type: Option<&'static str>,
}

/// `scimType`, on its way from the handler to where the body is made.
#[derive(Clone, Copy)]
struct Word(&'static str);

/// A body of `application/scim+json`.
pub(super) struct Sent(pub(super) Value);

// === impl Refusal ===

impl Refusal {
    fn new(
        status: StatusCode,
        kind: &str,
        scim_type: Option<&'static str>,
        what: String,
        next: &str,
    ) -> Self {
        Self {
            error: ApiError::new(status, kind, what, next),
            scim_type,
        }
    }

    pub(super) fn syntax(why: impl Into<String>) -> Self {
        let next = "Send a SCIM resource or PatchOp as JSON.";
        Self::new(
            StatusCode::BAD_REQUEST,
            "scim-refused",
            Some("invalidSyntax"),
            why.into(),
            next,
        )
    }

    pub(super) fn no_such_resource() -> Self {
        let what = "There is no such resource.".to_owned();
        let next = "Find its id with a filter, for example ?filter=userName eq \"ada@example.com\".";
        Self::new(StatusCode::NOT_FOUND, "scim-not-found", None, what, next)
    }
}

impl From<ScimError> for Refusal {
    fn from(error: ScimError) -> Self {
        let word = error.scim_type().map(updraft_sso::scim::ScimType::word);
        match error {
            ScimError::Refused(refused) => Self::new(
                StatusCode::BAD_REQUEST,
                "scim-refused",
                word,
                refused.detail,
                "Correct it and send it again.",
            ),
            ScimError::Taken { attribute, value } => Self::new(
                StatusCode::CONFLICT,
                "scim-taken",
                word,
                format!("Another resource has the `{attribute}` {value}."),
                "Find it with a filter and change that one.",
            ),
            ScimError::NotFound => Self::no_such_resource(),
            ScimError::Changed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "scim-changed",
                None,
                "The resource was changed since the version you named.".to_owned(),
                "Get it again and repeat your change with its new ETag.",
            ),
            ScimError::App(error) => Self::from(error),
        }
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Self {
            error: error.into(),
            scim_type: None,
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            scim_type: None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        if let Some(word) = self.scim_type {
            response.extensions_mut().insert(Word(word));
        }
        response
    }
}

// === impl Sent ===

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let declared = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = declared
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if !["application/scim+json", "application/json"]
            .iter()
            .any(|known| essence.eq_ignore_ascii_case(known))
        {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                None,
                "The body is not declared as SCIM.".to_owned(),
                "Send `Content-Type: application/scim+json`.",
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(|refused| {
            let what = "The body is too large or broken off: 1 MiB is the most.".to_owned();
            Refusal::new(
                refused.status(),
                "body-too-large",
                None,
                what,
                "Send a group's members in several patches.",
            )
        })?;
        let parsed = serde_json::from_slice(&body).map_err(|_| Refusal::syntax("The body is not JSON."))?;
        Ok(Self(parsed))
    }
}

/// A resource with its version; `304` when the directory has that version.
pub(super) fn resource(
    status: StatusCode,
    resource: ScimResource,
    headers: &HeaderMap,
    projection: &Projection,
) -> Response {
    let has = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|tag| tag.as_bytes() == resource.etag.as_bytes());
    let mut response = if has && status == StatusCode::OK {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        scim(status, &projection.of(resource.body))
    };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(resource.etag).map(|tag| (ETAG, tag)));
    if status == StatusCode::CREATED {
        headers.extend(HeaderValue::try_from(resource.location).map(|location| (LOCATION, location)));
    }
    response
}

pub(super) fn scim(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, SCIM_JSON)], body.to_string()).into_response()
}

/// The version that a change is meant for.
pub(super) fn if_match(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(IF_MATCH)?;
    Some(String::from_utf8_lossy(tag.as_bytes()).into_owned())
}

/// Puts a problem into the form of RFC 7644 section 3.12.
pub(super) async fn in_scim_words(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/problem+json")
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, LONGEST_PROBLEM).await.unwrap_or_default();
    let problem: Option<Problem> = serde_json::from_slice(&bytes).ok();
    let mut error = json!({"schemas": [ERROR_SCHEMA], "status": parts.status.as_str()});
    if let Some(Word(word)) = parts.extensions.get() {
        error["scimType"] = json!(word);
    }
    if let Some(problem) = problem {
        error["detail"] = json!(format!("{} {}", problem.title, problem.detail));
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, SCIM_JSON);
    Response::from_parts(parts, Body::from(error.to_string()))
}
