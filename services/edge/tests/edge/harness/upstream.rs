//! An "Airflow": says what it received, and does what a hostile or a slow one might do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    name: String,
    requests: AtomicU64,
    connections: AtomicU64,
    /// Bytes of the upload that have arrived.
    uploaded: watch::Sender<u64>,
    /// Lets `/events` send its next one.
    next_event: Notify,
    /// Resolves once an exchange was given up by the edge.
    given_up: Notify,
}

// === impl Upstream ===

impl Upstream {
    pub(crate) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            name: name.into(),
            ..Shared::default()
        });
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn send_event(&self) {
        self.shared.next_event.notify_one();
    }

    pub(crate) async fn given_up(&self) {
        self.shared.given_up.notified().await;
    }

    pub(crate) fn uploaded(&self) -> watch::Receiver<u64> {
        self.shared.uploaded.subscribe()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path();
    let action = path.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(match action.as_str() {
        "hostile" => hostile(),
        "events" => events(&shared),
        "never" => never(shared).await,
        "later" => later(&shared).await,
        "upload" => upload(&shared, request.into_body()).await,
        "download" => download(),
        "ws" => websocket(request),
        "teapot" => status(StatusCode::IM_A_TEAPOT),
        _ => echo(&shared, &request),
    })
}

/// What arrived, as JSON.
fn echo(shared: &Shared, request: &Request<Incoming>) -> Response<Body> {
    let value = serde_json::json!({
        "upstream": shared.name,
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers(request.headers()),
    });
    Response::new(full(value.to_string()))
}

fn headers(headers: &HeaderMap) -> serde_json::Value {
    headers
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_str().unwrap_or("?").into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn hostile() -> Response<Body> {
    Response::builder()
        .header("service-worker-allowed", "/")
        .header("clear-site-data", "\"*\"")
        .header("strict-transport-security", "max-age=1")
        .header("alt-svc", "h3=\"evil.example:443\"")
        .header("x-accel-redirect", "/etc/passwd")
        .header("keep-alive", "timeout=5")
        .header("connection", "x-secret-hop")
        .header("x-secret-hop", "1")
        .header("set-cookie", "fine=1; Path=/airflow-webserver-1/; HttpOnly")
        .header("set-cookie", "plain=1")
        .header("set-cookie", "wide=1; Path=/")
        .header("set-cookie", "other=1; Path=/airflow-webserver-2/")
        .header("set-cookie", "longer=1; Path=/airflow-webserver-10/")
        .header(
            "set-cookie",
            "domain=1; Domain=example.com; Path=/airflow-webserver-1/",
        )
        .header("set-cookie", "updraft_edge=forged; Path=/airflow-webserver-1/")
        .header(
            "set-cookie",
            "__Host-updraft_edge=forged; Path=/airflow-webserver-1/; Secure",
        )
        .body(full("hostile"))
        .unwrap()
}

/// One event per permission, for ever.
fn events(shared: &Arc<Shared>) -> Response<Body> {
    let guard = NotifyOnDrop(Arc::clone(shared));
    let frames = stream::unfold((0, guard), move |(n, guard)| async move {
        guard.0.next_event.notified().await;
        Some((
            Ok(Frame::data(Bytes::from(format!("data: {n}\n\n")))),
            (n + 1, guard),
        ))
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(BodyExt::boxed_unsync(StreamBody::new(Box::pin(frames))))
        .unwrap()
}

/// Answers once there is permission.
async fn later(shared: &Shared) -> Response<Body> {
    shared.next_event.notified().await;
    Response::new(full("what was asked for long ago".to_owned()))
}

async fn never(shared: Arc<Shared>) -> Response<Body> {
    let _guard = NotifyOnDrop(shared);
    std::future::pending().await
}

async fn upload(shared: &Shared, mut body: Incoming) -> Response<Body> {
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().map_or(0, |d| d.len() as u64);
        shared.uploaded.send_replace(received);
    }
    Response::new(full(received.to_string()))
}

/// 200 MB, made as they are read.
fn download() -> Response<Body> {
    static CHUNK: [u8; 1 << 16] = [b'x'; 1 << 16];
    let frames = stream::iter((0..3200).map(|_| Ok(Frame::data(Bytes::from_static(&CHUNK)))));
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// Says which role's token it got, then echoes bytes.
fn websocket(mut request: Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        let (mut read, mut write) = tokio::io::split(&mut io);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let token = request.headers().get("authorization").cloned();
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    if let Some(token) = token {
        response = response.header("x-token-seen", token);
    }
    response.body(full("")).unwrap()
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    response
}

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

struct NotifyOnDrop(Arc<Shared>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.given_up.notify_one();
    }
}
