//! The cookie that binds a sign-in through a provider to the browser that began it.
//!
//! `Lax` suffices: a provider sends the browser back by a top-level GET, which carries it, and what is posted from another
//! site (SAML) is posted once more by a page of ours, see `pages::from_saml`. `None` would send it with anything.

use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, SET_COOKIE};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};

use crate::shell::cookie;
use crate::state::ConsoleConfig;

const COOKIE: &str = "updraft_sign_in";
/// A little longer than a sign-in may take.
const SECONDS: i64 = 15 * 60;
/// 32 bytes in base64url.
const LENGTH: usize = 43;

/// What this browser holds, or is given now: several sign-ins may be under way in it at once.
pub(crate) fn binding(headers: &HeaderMap) -> String {
    held(headers).unwrap_or_else(|| URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

pub(crate) fn held(headers: &HeaderMap) -> Option<String> {
    let ours = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    cookie(headers, COOKIE).filter(|value| value.len() == LENGTH && value.chars().all(ours))
}

pub(crate) fn keep(response: &mut Response, config: &ConsoleConfig, binding: &str) {
    let cookie = Cookie::build((COOKIE, binding))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(config.console_url.scheme() == "https")
        .max_age(cookie::time::Duration::seconds(SECONDS));
    if let Ok(value) = HeaderValue::try_from(cookie.build().to_string()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{COOKIE, HeaderValue};

    use super::{binding, held};

    #[test]
    fn a_browser_keeps_its_binding_and_a_planted_one_does_not_count() {
        let mut headers = HeaderMap::new();
        assert_ne!(binding(&headers), binding(&headers));
        let own = binding(&headers);
        let line = HeaderValue::try_from(format!("updraft_sign_in={own}")).unwrap();
        headers.append(COOKIE, line);
        assert_eq!(held(&headers), Some(own));
        headers.append(COOKIE, HeaderValue::from_static("updraft_sign_in=short"));
        assert_eq!(held(&headers), None, "two of the name");
    }
}
