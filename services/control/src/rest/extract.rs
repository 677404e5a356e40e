//! Bodies, paths and queries, with refusals that name the field.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{ApiError, ApiResult};

/// A JSON body.
pub(crate) struct ApiJson<T>(pub(crate) T);

/// Ids in the path. What is no id is nothing that exists: 404.
pub(crate) struct ApiPath<T>(pub(crate) T);

pub(crate) struct ApiQuery<T>(pub(crate) T);

/// Where the request came from, as [`crate::proxies`] found it, for limits on sign-in. Without connection info all requests count as one address.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

// === impl ApiJson ===

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body is not declared as JSON.",
                "Send `Content-Type: application/json`.",
            ));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|refused| unreadable(refused.status()))?;
        parse(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/merge-patch+json"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

fn unreadable(status: StatusCode) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "No operation needs more than 256 KiB.";
        return ApiError::new(status, "body-too-large", "The body is too large.", detail);
    }
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "malformed-body",
        "The body could not be read.",
        "Send it again.",
    )
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refusal(&error))?;
    deserializer.end().map_err(|_| malformed())?;
    Ok(parsed)
}

fn refusal(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    match error.inner().classify() {
        Category::Data => {
            let said = error.inner().to_string();
            // The position within the body helps nobody who sent it from a program.
            let why = said
                .rsplit_once(" at line ")
                .map_or(said.as_str(), |(why, _)| why);
            invalid_field(&error.path().to_string(), why)
        }
        Category::Syntax | Category::Eof | Category::Io => malformed(),
    }
}

fn malformed() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "malformed-json",
        "The body is not JSON.",
        "Check it with a JSON parser and send it again.",
    )
}

/// Names the field, also one that serde only names in its message.
fn invalid_field(path: &str, why: &str) -> ApiError {
    let path = if path == "." { "" } else { path };
    let quoted = |prefix: &str| why.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let missing = quoted("missing field `");
    let named = quoted("unknown field `").or(missing);
    let field = match named {
        // Some paths end in the field already.
        Some(name) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None => path.to_owned(),
    };
    let title = if field.is_empty() {
        "The body is not valid.".to_owned()
    } else {
        format!("`{field}` is not valid.")
    };
    let detail = format!("{}.", capitalised(why));
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", title, detail).on_field(field)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

// === impl ApiPath ===

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(super::unknown_path(parts.uri.clone()).await),
        }
    }
}

// === impl ApiQuery ===

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(deserializer)
            .map(Self)
            .map_err(|error| invalid_field(&error.path().to_string(), &error.inner().to_string()))
    }
}

// === impl ClientAddress ===

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        Ok(Self(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}
