//! Whether an unsafe request came from one of our own pages. Browsers send the cookie with forms of other sites of
//! the same host too (another port is the same site), so the cookie alone never suffices.

use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderMap, ORIGIN};
use axum::http::{HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::refusal::Refusal;
use crate::state::Console;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses unsafe requests from elsewhere before any handler sees them.
pub(crate) async fn refuse_foreign(State(console): State<Console>, request: Request, next: Next) -> Response {
    if is_safe(request.method()) || is_our_own(request.headers(), &console.config.console_url) {
        next.run(request).await
    } else {
        Refusal::Foreign.into_response()
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What a browser states about the sender must be there and must all agree; silence is refused.
fn is_our_own(headers: &HeaderMap, console: &Url) -> bool {
    let said = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = said(SEC_FETCH_SITE).map(|site| site == "same-origin");
    let origin = said(ORIGIN)
        .map(|origin| is_origin_of(origin, console) || is_origin_of_host(origin, said(HOST), console));
    match (site, origin) {
        (None, None) => false,
        (site, origin) => site.unwrap_or(true) && origin.unwrap_or(true),
    }
}

fn is_origin_of(origin: &str, console: &Url) -> bool {
    console.origin().ascii_serialization() == origin
}

/// The console may be reached under another allowed host (`127.0.0.1` beside `localhost`): `Host` was checked
/// against the allow-list before us.
fn is_origin_of_host(origin: &str, host: Option<&str>, console: &Url) -> bool {
    host.is_some_and(|host| format!("{}://{host}", console.scheme()) == origin)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use url::Url;

    use super::is_our_own;

    fn judged(headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        is_our_own(
            &pairs.collect::<HeaderMap>(),
            &Url::parse("http://localhost:7700").unwrap(),
        )
    }

    #[test]
    fn our_own_pages_are_recognised() {
        assert!(judged(&[("origin", "http://localhost:7700")]));
        assert!(judged(&[("sec-fetch-site", "same-origin")]));
        assert!(judged(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://localhost:7700")
        ]));
        assert!(judged(&[
            ("host", "127.0.0.1:7700"),
            ("origin", "http://127.0.0.1:7700")
        ]));
    }

    #[test]
    fn everybody_else_is_refused() {
        assert!(!judged(&[]), "silence");
        assert!(!judged(&[("origin", "null")]));
        assert!(
            !judged(&[("origin", "http://localhost:7701")]),
            "another port is another origin"
        );
        assert!(!judged(&[("origin", "https://localhost:7700")]));
        assert!(
            !judged(&[("sec-fetch-site", "same-site")]),
            "another port is the same site"
        );
        assert!(!judged(&[("sec-fetch-site", "cross-site")]));
        assert!(!judged(&[("sec-fetch-site", "none")]));
        assert!(!judged(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://evil.example")
        ]));
        assert!(!judged(&[
            ("host", "localhost:7700"),
            ("origin", "http://evil.example")
        ]));
    }
}
