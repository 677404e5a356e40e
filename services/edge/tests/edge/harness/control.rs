//! Control's internal listener, as far as an edge sees it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{ClusterUses, HandoverRedeemed, RedeemHandover, Snapshot, TokenUses};
use updraft_api::tunnel::TunnelCertificate;
use updraft_model::{ClusterId, EdgeId, TokenId};

pub(crate) const EDGE_TOKEN: &str = "edge-token-for-tests";

/// A single-use code and what it is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) host: String,
    pub(crate) binding_hash: String,
    pub(crate) session_token: String,
    pub(crate) expires_at: i64,
}

pub(crate) struct FakeControl {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    running: CancellationToken,
}

struct Shared {
    snapshot: watch::Sender<Snapshot>,
    codes: Mutex<HashMap<String, Code>>,
    uses: Mutex<HashMap<TokenId, i64>>,
    cluster_uses: Mutex<HashMap<ClusterId, i64>>,
    refusals: Mutex<Vec<String>>,
    tunnel_certificate: Mutex<Option<String>>,
    keys: Mutex<String>,
    asked: Mutex<Vec<EdgeId>>,
    ended: Mutex<Vec<EdgeId>>,
}

// === impl FakeControl ===

impl FakeControl {
    pub(crate) async fn start(snapshot: Snapshot) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            snapshot: watch::Sender::new(snapshot),
            codes: Mutex::default(),
            uses: Mutex::default(),
            cluster_uses: Mutex::default(),
            refusals: Mutex::default(),
            tunnel_certificate: Mutex::default(),
            keys: Mutex::default(),
            asked: Mutex::default(),
            ended: Mutex::default(),
        });
        let address = listener.local_addr().unwrap();
        let running = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::clone(&shared), running.clone()));
        Self {
            address,
            shared,
            running,
        }
    }

    /// Control dies: its port refuses, its connections break.
    pub(crate) fn kill(&self) {
        self.running.cancel();
    }

    pub(crate) async fn revive(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.running = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::clone(&self.shared), self.running.clone()));
    }

    /// Publishes a changed snapshot and returns its version.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Snapshot)) -> i64 {
        self.shared.snapshot.send_modify(|snapshot| {
            change(snapshot);
            snapshot.version += 1;
        });
        self.shared.snapshot.borrow().version
    }

    /// When this token was last used, as far as the edge has told.
    pub(crate) fn used(&self, token: TokenId) -> Option<i64> {
        self.shared.uses.lock().unwrap().get(&token).copied()
    }

    /// When this cluster was last used, as far as the edge has told.
    pub(crate) fn cluster_used(&self, cluster: i64) -> Option<i64> {
        let uses = self.shared.cluster_uses.lock().unwrap();
        uses.get(&ClusterId(cluster)).copied()
    }

    /// All that the edge said it refused, report after report as they came.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.shared.refusals.lock().unwrap().clone()
    }

    /// Edges that asked for their snapshot, in the order of their first time.
    pub(crate) fn edges(&self) -> Vec<EdgeId> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Edges that were said to have ended.
    pub(crate) fn ended_edges(&self) -> Vec<EdgeId> {
        self.shared.ended.lock().unwrap().clone()
    }

    /// Which of the installation's keys the edge last said it goes by.
    pub(crate) fn keys(&self) -> String {
        self.shared.keys.lock().unwrap().clone()
    }

    /// What an edge is given that asks for a certificate.
    pub(crate) fn certify(&self, certificate: &TunnelCertificate) {
        let certificate = serde_json::to_string(certificate).unwrap();
        *self.shared.tunnel_certificate.lock().unwrap() = Some(certificate);
    }

    pub(crate) fn add_code(&self, name: &str, code: Code) {
        self.shared.codes.lock().unwrap().insert(name.into(), code);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, running: CancellationToken) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = running.cancelled() => return,
        };
        let (shared, running) = (Arc::clone(&shared), running.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                () = running.cancelled() => {}
            }
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let sent = request
        .headers()
        .get("authorization")
        .and_then(|v| v.to_str().ok());
    if sent != Some(&format!("Bearer {EDGE_TOKEN}")) {
        return Ok(status(StatusCode::UNAUTHORIZED));
    }
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/edge/v1/snapshot") => {
            snapshot(&shared, request.uri().query().unwrap_or_default()).await
        }
        (&Method::POST, "/edge/v1/handover") => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            redeem(&shared, &serde_json::from_slice(&body).unwrap())
        }
        (&Method::POST, "/edge/v1/token-uses") => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let told: TokenUses = serde_json::from_slice(&body).unwrap();
            let uses = told.uses.into_iter().map(|one| (one.token, one.at));
            shared.uses.lock().unwrap().extend(uses);
            status(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "/edge/v1/cluster-uses") => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let told: ClusterUses = serde_json::from_slice(&body).unwrap();
            let uses = told.uses.into_iter().map(|one| (one.cluster, one.at));
            shared.cluster_uses.lock().unwrap().extend(uses);
            status(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "/edge/v1/refusals") => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let told = String::from_utf8(body.to_vec()).unwrap();
            shared.refusals.lock().unwrap().push(told);
            status(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "/edge/v1/tunnel-certificate") => {
            let certificate = shared.tunnel_certificate.lock().unwrap().clone();
            certificate.map_or_else(
                || status(StatusCode::NOT_FOUND),
                |certificate| Response::new(Full::new(certificate.into())),
            )
        }
        (&Method::DELETE, path) => {
            let edge = path.strip_prefix("/edge/v1/edges/").unwrap().parse().unwrap();
            shared.ended.lock().unwrap().push(edge);
            status(StatusCode::NO_CONTENT)
        }
        _ => status(StatusCode::NOT_FOUND),
    })
}

impl Shared {
    fn note_asked(&self, edge: EdgeId) {
        let mut asked = self.asked.lock().unwrap();
        if !asked.contains(&edge) {
            asked.push(edge);
        }
    }
}

async fn snapshot(shared: &Shared, query: &str) -> Response<Full<Bytes>> {
    let (after, edge) = query
        .strip_prefix("after=")
        .unwrap()
        .split_once("&edge=")
        .unwrap();
    let (edge, keys) = edge.split_once("&changes=true&keys=").unwrap();
    *shared.keys.lock().unwrap() = keys.to_owned();
    let (after, edge): (i64, EdgeId) = (after.parse().unwrap(), edge.parse().unwrap());
    shared.note_asked(edge);
    let mut changes = shared.snapshot.subscribe();
    let news = changes.wait_for(|s| s.version != after);
    match tokio::time::timeout(Duration::from_secs(25), news).await {
        Ok(Ok(_)) => json(&*shared.snapshot.borrow()),
        _ => status(StatusCode::NO_CONTENT),
    }
}

fn redeem(shared: &Shared, asked: &RedeemHandover) -> Response<Full<Bytes>> {
    // Taken out even when it is refused: a code is tried once.
    let Some(code) = shared.codes.lock().unwrap().remove(&asked.code) else {
        return status(StatusCode::NOT_FOUND);
    };
    if code.host != asked.host || code.binding_hash != hex::encode(Sha256::digest(&asked.binding)) {
        return status(StatusCode::FORBIDDEN);
    }
    json(&HandoverRedeemed {
        session_token: code.session_token,
        expires_at: code.expires_at,
    })
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    Response::new(Full::new(serde_json::to_vec(value).unwrap().into()))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
