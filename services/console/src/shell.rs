//! What every answer carries: a nonce for its scripts and a policy that lets nothing else run.

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::Cookie;
use updraft_api::rest::Me;

use crate::audit::Reference;
use crate::frame::{Frame, Here, Theme, Viewer};

const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
pub(crate) const THEME_COOKIE: &str = "updraft_theme";

/// One answer's nonce: 128 random bits.
#[derive(Clone, Debug)]
pub(crate) struct Nonce(String);

/// What a page's frame needs of the request.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    nonce: Nonce,
    theme: Theme,
    path: String,
    reference: String,
}

// === impl Nonce ===

impl Nonce {
    fn fresh() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
    }

    fn policy(&self) -> String {
        let nonce = &self.0;
        format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    }
}

// === impl Shell ===

impl Shell {
    pub(crate) fn frame(&self, me: Option<&Me>) -> Frame {
        Frame {
            nonce: self.nonce.0.clone(),
            theme: self.theme,
            viewer: me.map(Viewer::from),
            here: Here::Elsewhere,
            path: self.path.clone(),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// What the audit log calls this request; empty where it keeps none.
    pub(crate) fn reference(&self) -> &str {
        &self.reference
    }
}

impl<S: Sync> FromRequestParts<S> for Shell {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        let theme = cookie(&parts.headers, THEME_COOKIE)
            .map(|word| Theme::parse(&word))
            .unwrap_or_default();
        let nonce = parts
            .extensions
            .get::<Nonce>()
            .cloned()
            .unwrap_or_else(Nonce::fresh);
        let reference = parts.extensions.get::<Reference>();
        Ok(Self {
            nonce,
            theme,
            path,
            reference: reference.map(|known| known.0.clone()).unwrap_or_default(),
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Shell {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Self::Rejection> {
        <Self as FromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map(Some)
    }
}

/// The first cookie of that name. Two of one name mean that somebody else planted one: then neither counts.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers
        .get_all(axum::http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut found = lines
        .flat_map(|line| Cookie::split_parse(line.to_owned()).flatten())
        .filter(|c| c.name() == name);
    let value = found.next()?.value().to_owned();
    found.next().is_none().then_some(value)
}

/// Gives each request its nonce and each answer its headers.
pub(crate) async fn protect(mut request: Request, next: Next) -> Response {
    let nonce = Nonce::fresh();
    request.extensions_mut().insert(nonce.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(nonce.policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(COOP, HeaderValue::from_static("same-origin"));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{COOKIE, HeaderValue};

    use super::{Nonce, cookie};

    #[test]
    fn a_cookie_counts_only_when_there_is_one_of_its_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=2"));
        assert_eq!(cookie(&headers, "b").as_deref(), Some("2"));
        headers.append(COOKIE, HeaderValue::from_static("b=3"));
        assert_eq!(cookie(&headers, "b"), None, "somebody planted a second one");
    }

    #[test]
    fn the_policy_allows_scripts_by_nonce_only() {
        let (one, other) = (Nonce::fresh(), Nonce::fresh());
        assert_ne!(one.0, other.0);
        assert!(!one.policy().contains("unsafe"), "{}", one.policy());
    }
}
