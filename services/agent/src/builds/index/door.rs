//! What stands between solver and index: lets reading through, with the login, and leads links back to itself.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RANGE,
    USER_AGENT, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::origin;

/// Of one page of links.
const LONGEST_PAGE: usize = 64 << 20;
const ASKED: [HeaderName; 6] = [
    ACCEPT,
    RANGE,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    CACHE_CONTROL,
    USER_AGENT,
];
const ANSWERED: [HeaderName; 8] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    ACCEPT_RANGES,
    CACHE_CONTROL,
    ETAG,
    LAST_MODIFIED,
    LOCATION,
];

type Body = BoxBody<Bytes, std::io::Error>;

pub(super) struct Door {
    pub(super) client: reqwest::Client,
    pub(super) upstream: Url,
    pub(super) login: Option<String>,
    /// Whoever does not show it is a stranger.
    pub(super) pass: String,
    /// `http://127.64.0.2:4711`
    pub(super) ours: String,
    pub(super) said: Arc<Mutex<Option<String>>>,
}

pub(super) async fn serve(listener: TcpListener, door: Arc<Door>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let door = Arc::clone(&door);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let door = Arc::clone(&door);
                        async move { Ok::<_, Infallible>(door.answer(&request).await) }
                    });
                    // One that breaks off is the solver's to notice.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

// === impl Door ===

impl Door {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let shown = request.headers().get(AUTHORIZATION);
        if shown.is_none_or(|shown| shown.as_bytes() != self.pass.as_bytes()) {
            let mut response = plain(StatusCode::UNAUTHORIZED);
            let realm = HeaderValue::from_static("Basic realm=\"index\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            return response;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        self.pass_on(request).await.unwrap_or_else(|what| {
            self.say(what);
            plain(StatusCode::BAD_GATEWAY)
        })
    }

    async fn pass_on(&self, request: &Request<Incoming>) -> Result<Response<Body>, String> {
        let answer = self.ask(request).await?;
        let status = answer.status();
        if matches!(status.as_u16(), 401 | 403) {
            self.say(match self.login {
                Some(_) => "The package index refuses the credential: has it expired, and may it read there?",
                None => "The package index is not public: name a credential for it.",
            });
            return Ok(plain(StatusCode::FORBIDDEN));
        }
        if status.is_server_error() {
            self.say(format!("The package index answered {status}."));
        }
        let mut headers = HeaderMap::new();
        for name in ANSWERED {
            if let Some(value) = answer.headers().get(&name) {
                headers.insert(name, self.led_through(value)?);
            }
        }
        let body = if request.method() == Method::GET && is_page(&headers) {
            headers.remove(CONTENT_LENGTH);
            self.page(answer).await?
        } else {
            let chunks = answer.bytes_stream().map_err(std::io::Error::other);
            StreamBody::new(chunks.map_ok(Frame::data)).boxed()
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    async fn ask(&self, request: &Request<Incoming>) -> Result<reqwest::Response, String> {
        let mut target = self.upstream.clone();
        target.set_path(request.uri().path());
        target.set_query(request.uri().query());
        let mut asked = self.client.request(request.method().clone(), target);
        for name in ASKED {
            if let Some(value) = request.headers().get(&name) {
                asked = asked.header(name, value);
            }
        }
        if let Some(login) = &self.login {
            asked = asked.header(AUTHORIZATION, login);
        }
        asked.send().await.map_err(|error| unreached(&error))
    }

    /// Its links to itself lead through the door: beyond it nobody shows a credential.
    async fn page(&self, mut answer: reqwest::Response) -> Result<Body, String> {
        let mut page = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreached(&error))? {
            page.extend_from_slice(&chunk);
            if page.len() > LONGEST_PAGE {
                return Err("A page of the package index is too long.".to_owned());
            }
        }
        let page = match String::from_utf8(page) {
            Ok(text) => Bytes::from(text.replace(&origin(&self.upstream), &self.ours)),
            Err(error) => Bytes::from(error.into_bytes()),
        };
        Ok(full(page))
    }

    fn led_through(&self, value: &HeaderValue) -> Result<HeaderValue, String> {
        let odd = || "The package index's answer is no HTTP.".to_owned();
        let text = value.to_str().map_err(|_| odd())?;
        match text.strip_prefix(&origin(&self.upstream)) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                HeaderValue::from_str(&format!("{}{rest}", self.ours)).map_err(|_| odd())
            }
            _ => Ok(value.clone()),
        }
    }

    fn say(&self, what: impl Into<String>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.into());
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    kind.starts_with("text/html") || kind.starts_with("application/vnd.pypi.simple")
}

/// The policy's own words, where it was the policy.
fn unreached(error: &reqwest::Error) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(source) = next {
        if let Some(outbound) = source.downcast_ref::<updraft_outbound::OutboundError>() {
            return format!("The package index: {outbound}.");
        }
        next = source.source();
    }
    let what = match error.is_timeout() {
        true => "does not answer in time",
        false => "can't be reached, or has no valid certificate",
    };
    format!("The package index {what}.")
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed()
}
