//! Answers of the edge's own: redirects, and notices as a page for people or a problem for programs.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use updraft_api::Problem;

use crate::authz::accepts_html;
use crate::body::Body;
use crate::pages::{self, Follow, Notice};
use crate::session::Visit;

/// A notice, in the form the client understands.
pub(crate) fn notice(notice: &Notice<'_>, headers: &HeaderMap, request_id: &str) -> Response<Body> {
    let text = notice.text();
    let mut response = if accepts_html(headers) {
        page(&text, request_id)
    } else {
        problem(&text, request_id)
    };
    *response.status_mut() = text.status;
    if text.follow != Follow::Stay {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    uncached(response)
}

/// The one answer for what is not there and what is not for this person.
pub(crate) fn not_found(visit: &Visit<'_>) -> Response<Body> {
    notice(
        &Notice::NotFound {
            console_url: &visit.table.console_url,
        },
        visit.headers,
        visit.request_id,
    )
}

/// See other: the browser goes there with GET.
pub(crate) fn see_other(location: &str) -> Response<Body> {
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let mut response = status(StatusCode::SEE_OTHER);
            response.headers_mut().insert(header::LOCATION, location);
            response
                .headers_mut()
                .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            uncached(response)
        }
        Err(_) => status(StatusCode::BAD_REQUEST),
    }
}

pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn json(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::from(value.to_string())));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    uncached(response)
}

/// Adds one `Set-Cookie`; an impossible value is left out.
pub(crate) fn set_cookie(response: &mut Response<Body>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::try_from(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn page(text: &pages::Text<'_>, request_id: &str) -> Response<Body> {
    let rendered = pages::render(text, request_id);
    let mut response = Response::new(Body::Full(Bytes::from(rendered.html)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    if let Ok(policy) = HeaderValue::try_from(rendered.content_security_policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn problem(text: &pages::Text<'_>, request_id: &str) -> Response<Body> {
    let problem = Problem {
        kind: format!("urn:updraft:problem:{}", text.kind),
        title: text.heading.to_string(),
        status: text.status.as_u16(),
        detail: text.plain(),
        field: None,
        request_id: Some(request_id.to_owned()),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Body::Full(Bytes::from(body)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}

fn uncached(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
