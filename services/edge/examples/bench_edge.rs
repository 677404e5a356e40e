//! The two processes that `tests/bench/edge` needs besides nginx and wrk.
//!
//! `bench_edge upstream <port> <bytes>`: answers anything with `<bytes>` bytes, as fast as one core can.
//! `bench_edge assets <environment> <directory>`: compresses an Airflow's UI.
//! `bench_edge edge <port> <upstream> <workers> [<assets> <jwks>]`: an edge with one cluster, authorization on, and a
//! stand-in for control. Prints the session cookie to use; writes the keys that an Airflow needs to `<jwks>`, and for
//! each line it reads prints a token with which to ask that Airflow straight.
//! `bench_edge edge-through-tunnel <port> <tunnel port> <workers> <file>`: the same, its cluster being behind tunnels;
//! writes to `<file>` what the agent has to know. `bench_edge agent <file> <upstream>`: that agent's tunnels.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

use std::convert::Infallible;
use std::time::Duration;

use chrono::Utc;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{Route, RouteState, Snapshot, Upstream};
use updraft_api::tunnel::{TUNNEL_SERVER_NAME, TunnelAssignment, TunnelCertificate, TunnelGuest};
use updraft_authz::{
    ClusterPolicy, Policy, PublicKey, SessionClaims, SigningKey, TokenHash, mint_airflow_token,
    mint_session_token,
};
use updraft_edge::EdgeConfig;
use updraft_model::{ClusterId, ClusterRole, NodeId, SessionId, TenantId, TenantRole, UserId};
use updraft_tunnel::{FarEnd, FarSettings, Pace, TokenDigest};
use uuid::Uuid;

/// As the `updraft` binary does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const PERSON: UserId = UserId(Uuid::from_u128(2));
const NODE: NodeId = NodeId(Uuid::from_u128(4));

/// Where the edge's one cluster is.
enum Behind<'a> {
    Address(&'a str),
    Tunnels { port: u16, agent_file: &'a str },
}

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
            let behind = Behind::Address(upstream);
            edge(port.parse().unwrap(), behind, workers.parse().unwrap(), None).await;
        }
        ["edge-through-tunnel", port, tunnel_port, workers, agent_file] => {
            let behind = Behind::Tunnels {
                port: tunnel_port.parse().unwrap(),
                agent_file,
            };
            edge(port.parse().unwrap(), behind, workers.parse().unwrap(), None).await;
        }
        ["agent", file, upstream] => agent(file, upstream).await,
        ["edge", port, upstream, workers, assets, jwks] => {
            edge(
                port.parse().unwrap(),
                Behind::Address(upstream),
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

/// Tunnels as an agent keeps them, until killed.
async fn agent(file: &str, upstream: &str) {
    let assignment: TunnelAssignment = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let settings = FarSettings {
        node: NODE,
        address: assignment.address,
        server_name: assignment.server_name,
        ca_pem: assignment.ca_pem,
        token: assignment.token,
        edges: assignment.edges,
        target: upstream.parse().unwrap(),
    };
    let _far = FarEnd::start(settings, Pace::default());
    std::future::pending::<()>().await;
}

/// The edge's certificate, and what the agent has to know.
fn tunnel(port: u16) -> (TunnelCertificate, TunnelAssignment) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_pem = params.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![TUNNEL_SERVER_NAME.to_owned()]).unwrap();
    let cert = leaf.signed_by(&key, &Issuer::new(params, authority_key)).unwrap();
    let certificate = TunnelCertificate {
        cert_pem: cert.pem(),
        key_pem: key.serialize_pem().into(),
        renew_after_s: 86400,
    };
    let assignment = TunnelAssignment {
        address: format!("127.0.0.1:{port}"),
        server_name: TUNNEL_SERVER_NAME.to_owned(),
        ca_pem,
        token: Uuid::new_v4().to_string().into(),
        edges: [].into(),
        port: 0,
    };
    (certificate, assignment)
}

async fn edge(port: u16, behind: Behind<'_>, workers: usize, airflow: Option<(&str, &str)>) {
    let session_key = SigningKey::from_seed("session", &rand::random()).unwrap();
    let host = format!("127.0.0.1:{port}");
    let (upstream, dialled) = match behind {
        Behind::Address(address) => (Upstream::Direct(address.parse().unwrap()), None),
        Behind::Tunnels { port, agent_file } => (
            Upstream::Tunnel { node: NODE },
            Some((tunnel(port), port, agent_file)),
        ),
    };
    let mut snapshot = snapshot(&host, upstream, &session_key);
    let mut certificate = Bytes::new();
    let mut tunnel_listen = None;
    if let Some(((shown, assignment), port, agent_file)) = dialled {
        snapshot.routes[0].tunnel = Some(TunnelGuest {
            node: NODE,
            token_sha256: TokenHash(TokenDigest::of(&assignment.token).0),
        });
        certificate = serde_json::to_vec(&shown).unwrap().into();
        tunnel_listen = Some(([127, 0, 0, 1], port).into());
        std::fs::write(agent_file, serde_json::to_vec(&assignment).unwrap()).unwrap();
    }
    let airflow_key = snapshot.airflow_key.clone();
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control_url = format!("http://{}", control.local_addr().unwrap());
    tokio::spawn(serve_control(
        control,
        serde_json::to_vec(&snapshot).unwrap().into(),
        certificate,
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
    config.tunnel_listen = tunnel_listen;
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

fn snapshot(host: &str, upstream: Upstream, session_key: &SigningKey) -> Snapshot {
    Snapshot {
        version: 1,
        routes: vec![Route {
            cluster: ClusterId(1),
            tenant: TENANT,
            name: "bench".parse().unwrap(),
            host: host.into(),
            runtime: "bench".into(),
            state: RouteState::Up { upstream },
            tunnel: None,
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

/// The snapshot once, then silence; a certificate for whoever asks.
async fn serve_control(listener: TcpListener, snapshot: Bytes, certificate: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (snapshot, certificate) = (snapshot.clone(), certificate.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (snapshot, certificate) = (snapshot.clone(), certificate.clone());
                async move {
                    let first = request
                        .uri()
                        .query()
                        .is_some_and(|query| query.starts_with("after=0&"));
                    let answer = match request.uri().path() {
                        "/edge/v1/tunnel-certificate" => certificate,
                        _ if first => snapshot,
                        _ => {
                            tokio::time::sleep(Duration::from_secs(25)).await;
                            snapshot
                        }
                    };
                    Ok::<_, Infallible>(Response::new(Full::new(answer)))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
