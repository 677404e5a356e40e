//! Whether a request that carries the session cookie was made by a page of our own. Pure.

use axum::http::{HeaderMap, Method, header};

/// Browsers send the cookie with requests that other sites cause; this tells them apart. Without a header that proves
/// the origin, only safe methods pass: programs use a bearer token.
pub(crate) fn is_our_own(method: &Method, headers: &HeaderMap, allowed_origins: &[String]) -> bool {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or("unreadable").to_owned();
    let origins: Vec<_> = headers.get_all(header::ORIGIN).iter().map(text).collect();
    let sites: Vec<_> = headers.get_all("sec-fetch-site").iter().map(text).collect();

    let ours = |origin: &String| allowed_origins.contains(origin);
    if !origins.iter().all(ours) {
        return false;
    }
    if method.is_safe() {
        return sites.iter().all(|site| site == "same-origin" || site == "none");
    }
    let proven = !origins.is_empty() || !sites.is_empty();
    proven && sites.iter().all(|site| site == "same-origin")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::is_our_own;

    fn allowed(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        is_our_own(method, &map, &["http://localhost:7700".to_owned()])
    }

    #[test]
    fn our_own_pages_may_change_things() {
        assert!(allowed(&Method::POST, &[("origin", "http://localhost:7700")]));
        assert!(allowed(&Method::POST, &[("sec-fetch-site", "same-origin")]));
        let both = [
            ("origin", "http://localhost:7700"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert!(allowed(&Method::DELETE, &both));
    }

    #[test]
    fn other_origins_may_not_even_read() {
        for origin in [
            "http://127.0.0.1:7701",
            "http://localhost:7701",
            "https://localhost:7700",
            "null",
        ] {
            assert!(!allowed(&Method::POST, &[("origin", origin)]), "{origin}");
            assert!(!allowed(&Method::GET, &[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!allowed(&Method::POST, &[("sec-fetch-site", site)]), "{site}");
            assert!(!allowed(&Method::GET, &[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn an_unproven_origin_may_read_but_not_change() {
        assert!(allowed(&Method::GET, &[]));
        assert!(allowed(&Method::GET, &[("sec-fetch-site", "none")]));
        assert!(!allowed(&Method::POST, &[]));
        assert!(!allowed(&Method::POST, &[("sec-fetch-site", "none")]));
    }

    #[test]
    fn one_good_header_does_not_excuse_a_bad_one() {
        let twice = [
            ("origin", "http://localhost:7700"),
            ("origin", "http://evil.example"),
        ];
        assert!(!allowed(&Method::POST, &twice));
        let mixed = [
            ("origin", "http://localhost:7700"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert!(!allowed(&Method::POST, &mixed));
    }
}
