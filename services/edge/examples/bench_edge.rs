//! The two processes that `tests/bench/edge` needs besides nginx and wrk.
//!
//! `bench_edge upstream <port> <bytes>`: answers anything with `<bytes>` bytes, as fast as one core can.
//! `bench_edge assets <environment> <directory>`: compresses an Airflow's UI.
//! `bench_edge edge <port> <upstream> <workers> [<assets> <jwks>]`: an edge with one cluster, authorization on, and a
//! stand-in for control. Prints the session cookie to use; writes the keys that an Airflow needs to `<jwks>`, and for
//! each line it reads prints a token with which to ask that Airflow straight.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

use std::convert::Infallible;
use std::time::Duration;

use chrono::Utc;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{Route, RouteState, Snapshot};
use updraft_authz::{
    ClusterPolicy, Policy, PublicKey, SessionClaims, SigningKey, mint_airflow_token, mint_session_token,
};
use updraft_edge::EdgeConfig;
use updraft_model::{ClusterId, ClusterRole, SessionId, TenantId, TenantRole, UserId};
use uuid::Uuid;

/// As the `updraft` binary does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const PERSON: UserId = UserId(Uuid::from_u128(2));

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["assets", env, out] => println!(
            "{:?}",
            updraft_edge::assets::build(env.as_ref(), out.as_ref()).unwrap()
        ),
        ["upstream", port, bytes] => upstream(port, bytes.parse().unwrap()).await,
        ["edge", port, upstream, workers] => {
            edge(port.parse().unwrap(), upstream, workers.parse().unwrap(), None).await;
        }
        ["edge", port, upstream, workers, assets, jwks] => {
            edge(
                port.parse().unwrap(),
                upstream,
                workers.parse().unwrap(),
                Some((assets, jwks)),
            )
            .await;
        }
        _ => eprintln!("usage: bench_edge upstream <port> <bytes> | edge <port> <upstream> <workers>"),
    }
}

async fn upstream(port: &str, bytes: usize) {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    let answer = Bytes::from(answer);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(respond(stream, answer.clone()));
    }
}

/// One answer for each head: requests of this benchmark have no body and come in one piece.
async fn respond(mut stream: TcpStream, answer: Bytes) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if buffer[..read].ends_with(b"\r\n\r\n") && stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn edge(port: u16, upstream: &str, workers: usize, airflow: Option<(&str, &str)>) {
    let session_key = SigningKey::from_seed("session", &rand::random()).unwrap();
    let host = format!("127.0.0.1:{port}");
    let snapshot = snapshot(&host, upstream, &session_key);
    let airflow_key = snapshot.airflow_key.clone();
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control_url = format!("http://{}", control.local_addr().unwrap());
    tokio::spawn(serve_control(
        control,
        serde_json::to_vec(&snapshot).unwrap().into(),
    ));

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "bench").unwrap();
    let mut config = EdgeConfig::new(
        control_url.parse().unwrap(),
        dir.path().join("token"),
        dir.path().join("state"),
        dir.path().join("assets"),
    );
    config.listen_port = port;
    config.workers = workers;
    let claims = claims(&host);
    if let Some((assets, jwks)) = airflow {
        config.asset_dir = assets.into();
        std::fs::write(jwks, PublicKey::jwks(&[airflow_key.public().clone()]).to_string()).unwrap();
    }
    println!(
        "updraft_edge={}",
        mint_session_token(&session_key, &claims).unwrap()
    );
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            let now = Utc::now();
            let token = mint_airflow_token(
                &airflow_key,
                &claims.clone().into(),
                ClusterId(1),
                ClusterRole::Admin,
                now,
            );
            println!("Bearer {}", token.unwrap());
        }
    });
    updraft_edge::run(config, CancellationToken::new()).await.unwrap();
}

fn snapshot(host: &str, upstream: &str, session_key: &SigningKey) -> Snapshot {
    Snapshot {
        version: 1,
        routes: vec![Route {
            cluster: ClusterId(1),
            tenant: TENANT,
            name: "bench".parse().unwrap(),
            host: host.into(),
            runtime: "bench".into(),
            state: RouteState::Up {
                upstream: upstream.into(),
            },
        }],
        policy: Policy {
            clusters: [(
                ClusterId(1),
                ClusterPolicy {
                    tenant: TENANT,
                    grants: [].into(),
                },
            )]
            .into(),
            members: [(TENANT, [(PERSON, TenantRole::Owner)].into())].into(),
            ..Policy::default()
        },
        airflow_key: SigningKey::from_seed("airflow", &rand::random()).unwrap(),
        session_keys: vec![session_key.public().clone()],
        console_url: "http://localhost:7700".into(),
    }
}

fn claims(host: &str) -> SessionClaims {
    let now = Utc::now().timestamp();
    SessionClaims {
        iss: updraft_authz::SESSION_ISSUER.into(),
        aud: updraft_authz::SESSION_AUDIENCE.into(),
        sid: SessionId(Uuid::from_u128(3)),
        sub: PERSON,
        tenant: TENANT,
        email: "person@example.com".into(),
        name: "A Person".into(),
        host: host.into(),
        iat: now,
        exp: now + 86400,
    }
}

/// The snapshot once, then silence.
async fn serve_control(listener: TcpListener, snapshot: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let snapshot = snapshot.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let snapshot = snapshot.clone();
                async move {
                    if request.uri().query() != Some("after=0") {
                        tokio::time::sleep(Duration::from_secs(25)).await;
                    }
                    Ok::<_, Infallible>(Response::new(Full::new(snapshot)))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
