//! `Idempotency-Key` on POST: the answer is kept, and given again when the same request comes again.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use updraft_app::{Actor, App, AppError, IdempotencyKey, IdempotentClaim, StoredAnswer, audit};

use super::answer::ShownOnce;
use super::{ApiError, ApiResult, Caller};

/// No operation takes or gives more, in bytes.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub(crate) async fn answer_once(
    State(app): State<App>,
    Caller(actor): Caller,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let Some(key) = request
        .headers()
        .get(&KEY)
        .filter(|_| request.method() == Method::POST)
        .cloned()
    else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.map_err(|_| too_large())?;
    let route = format!("{} {}", parts.method, parts.uri);
    let key = IdempotencyKey::new(
        &actor,
        key.to_str().unwrap_or_default(),
        &route,
        &without_secrets(&body),
    )?;
    match app.claim_idempotency(&actor, &key).await? {
        IdempotentClaim::Mine => {
            let request = Request::from_parts(parts, Body::from(body));
            // Goes on when the client hangs up: what was begun is finished and its answer kept.
            let work = tokio::spawn(audit::carried(do_and_keep(app, actor, key, request, next)));
            work.await.map_err(|_| AppError::Internal { what: "a handler" })?
        }
        IdempotentClaim::Answered(answer) => Ok(replay(&answer)),
        IdempotentClaim::OtherRequest => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "This `Idempotency-Key` was used for another request.",
            "Use a new key for each request that is not a repetition.",
        )
        .on_field("Idempotency-Key")),
        IdempotentClaim::InProgress => Err(ApiError::new(
            StatusCode::CONFLICT,
            "idempotency-in-progress",
            "The same request is being worked on.",
            "Wait a moment and repeat it: you get its answer.",
        )
        .retry_after(1)),
    }
}

async fn do_and_keep(
    app: App,
    actor: Actor,
    key: IdempotencyKey,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let response = next.run(request).await;
    if !response.status().is_success() {
        app.settle_idempotency(&actor, &key, None).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT).await.map_err(|_| AppError::Internal {
        what: "keeping an answer",
    })?;
    // A secret is not kept: who repeats the request learns that it was done, and no more.
    let body = match parts.extensions.get::<ShownOnce>() {
        Some(ShownOnce) => serde_json::Value::Null,
        None => serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null),
    };
    let answer = StoredAnswer {
        status: parts.status.as_u16(),
        body,
    };
    app.settle_idempotency(&actor, &key, Some(&answer)).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(answer: &StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = match &answer.body {
        serde_json::Value::Null => status.into_response(),
        body => (status, axum::Json(body)).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(generation) = answer
        .body
        .pointer("/cluster/generation")
        .and_then(serde_json::Value::as_i64)
    {
        let tag = super::generation::etag(updraft_model::Generation(generation));
        tag.and_then(|tag| headers.insert(header::ETAG, tag));
    }
    response
}

/// Passwords and other secrets must not be kept, not even as part of a fast hash.
const SECRETS: [&str; 3] = ["password", "secret", "metadata_dsn"];

fn without_secrets(body: &Bytes) -> Vec<u8> {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(mut fields))
            if SECRETS.iter().any(|name| fields.contains_key(*name)) =>
        {
            fields.retain(|name, _| !SECRETS.contains(&name.as_str()));
            serde_json::Value::Object(fields).to_string().into_bytes()
        }
        _ => body.to_vec(),
    }
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "The body is too large.",
        "No operation needs more than 256 KiB.",
    )
}
