//! Sessions of roles, as AWS has them: each ends, and is refused from then on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

const EXPIRED: &str =
    "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";

/// Before a store: lets in whoever has a session that lasts, as AWS does.
#[derive(Clone)]
pub(crate) struct Gate {
    store: String,
    http: reqwest::Client,
    good: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<usize>>,
}

// === impl Gate ===

impl Gate {
    pub(crate) async fn before(store: String, session: &str) -> (Self, SocketAddr) {
        let gate = Self {
            store,
            http: reqwest::Client::new(),
            good: Arc::new(Mutex::new(vec![session.to_owned()])),
            refused: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gate, address)
    }

    /// The session before has ended.
    pub(crate) fn only(&self, session: &str) {
        *self.good.lock().unwrap() = vec![session.to_owned()];
    }

    /// The session before lasts on.
    pub(crate) fn also(&self, session: &str) {
        self.good.lock().unwrap().push(session.to_owned());
    }

    pub(crate) fn refused(&self) -> usize {
        *self.refused.lock().unwrap()
    }
}

async fn pass(State(gate): State<Gate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let shown = parts.headers.get("x-amz-security-token");
    let lasts = |shown: &str| gate.good.lock().unwrap().iter().any(|good| good == shown);
    if !shown.and_then(|shown| shown.to_str().ok()).is_some_and(lasts) {
        *gate.refused.lock().unwrap() += 1;
        return (StatusCode::BAD_REQUEST, EXPIRED).into_response();
    }
    let url = format!("{}{}", gate.store, parts.uri);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let asked = gate.http.request(parts.method, url).headers(parts.headers);
    let answer = asked.body(body).send().await.unwrap();
    let mut passed = Response::builder().status(answer.status());
    passed.headers_mut().unwrap().clone_from(answer.headers());
    passed.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
