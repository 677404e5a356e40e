//! Who speaks a protocol too far from control's own is refused, with which side to upgrade first. Every answer says what
//! control speaks, so that agents and edges judge by themselves, too.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use updraft_api::Problem;
use updraft_model::{Protocol, TooFarApart};

const HEADER: HeaderName = HeaderName::from_static(Protocol::HEADER);

/// Says on every answer what control speaks.
pub(crate) async fn say(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(HEADER, HeaderValue::from(Protocol::OWN.0));
    response
}

/// Refuses whom control does not understand.
pub(crate) async fn compare(request: Request, next: Next) -> Response {
    match said(request.headers()).meet() {
        Ok(()) => next.run(request).await,
        Err(apart) => refuse("The caller and control are too far apart.", apart),
    }
}

pub(crate) fn said(headers: &HeaderMap) -> Protocol {
    // What is no text is no number either.
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    Protocol::said(headers.get(HEADER).map(text).as_deref())
}

/// 426, as RFC 9110 has it for another version of a protocol.
pub(crate) fn refuse(title: &str, apart: TooFarApart) -> Response {
    let problem = Problem {
        kind: "urn:updraft:problem:protocol-too-far-apart".to_owned(),
        title: title.to_owned(),
        status: StatusCode::UPGRADE_REQUIRED.as_u16(),
        detail: apart.to_string(),
        field: None,
        request_id: None,
    };
    let headers = [
        (header::CONTENT_TYPE, "application/problem+json".to_owned()),
        (header::UPGRADE, format!("updraft/{}", Protocol::OWN)),
    ];
    (StatusCode::UPGRADE_REQUIRED, headers, Json(problem)).into_response()
}
