//! What is asked and what is answered.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::OutboundError;

/// How many redirects a request without credentials may follow.
const REDIRECTS: u8 = 3;

/// A request to an address that a tenant named.
#[derive(Clone, Debug)]
pub struct OutboundRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) redirects: u8,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct OutboundResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where the answer came from, after redirects.
    pub url: Url,
}

// === impl OutboundRequest ===

impl OutboundRequest {
    /// Follows a few redirects.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Bytes::new(), REDIRECTS)
    }

    /// A form; follows no redirect, since forms carry secrets.
    ///
    /// # Errors
    /// When the form cannot be written as one.
    pub fn post_form(url: Url, form: &impl Serialize) -> Result<Self, OutboundError> {
        let body = serde_urlencoded::to_string(form).map_err(|_| OutboundError::Broken)?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        Ok(Self::new(Method::POST, url, body.into(), 0).with_header(header::CONTENT_TYPE, form))
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// A request with credentials in it stays where it was sent.
    #[must_use]
    pub fn without_redirects(self) -> Self {
        Self { redirects: 0, ..self }
    }

    fn new(method: Method, url: Url, body: Bytes, redirects: u8) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body,
            redirects,
        }
    }
}

// === impl OutboundResponse ===

impl OutboundResponse {
    /// # Errors
    /// When the body is not this JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}
