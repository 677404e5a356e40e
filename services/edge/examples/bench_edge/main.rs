//! The processes that `tests/bench/edge` needs besides nginx, wrk and a browser. An address is `<IP>:<port>`.
//!
//! `bench_edge upstream <address> <bytes>`: answers anything with `<bytes>` bytes, as fast as one core can.
//! `bench_edge echo <address>`: a websocket that says back what it hears.
//! `bench_edge assets <environment> <directory>`: compresses an Airflow's UI.
//! `bench_edge edge <address> <upstream> <workers> [<assets> <jwks>]`: an edge with one cluster, authorization on, and a
//! stand-in for control. Prints the session cookie to use; writes the keys that an Airflow needs to `<jwks>`, and for
//! each line it reads prints a token with which to ask that Airflow straight.
//! `bench_edge edge-through-tunnel <address> <tunnel address> <workers> <file> [<assets> <jwks>]`: the same, its cluster
//! being behind tunnels; writes to `<file>` what the agent has to know. `bench_edge agent <file> <upstream>`: that
//! agent's tunnels.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

mod control;
mod tunnel;
mod upstream;

use std::net::SocketAddr;

use chrono::Utc;
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{Snapshot, Upstream};
use updraft_api::tunnel::TunnelGuest;
use updraft_authz::{
    PublicKey, SessionClaims, SigningKey, TokenHash, mint_airflow_token, mint_session_token,
};
use updraft_edge::EdgeConfig;
use updraft_model::{ClusterId, ClusterRole};
use updraft_tunnel::TokenDigest;

use tunnel::NODE;

/// As the `updraft` binary does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where the edge's one cluster is.
enum Behind<'a> {
    Address(SocketAddr),
    Tunnels { listen: SocketAddr, agent_file: &'a str },
}

/// A real Airflow's: the directory of its assets, and where to write the keys that it believes.
struct Airflow<'a> {
    assets: &'a str,
    jwks: &'a str,
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
        ["upstream", address, bytes] => upstream::answer(parsed(address), bytes.parse().unwrap()).await,
        ["echo", address] => upstream::echo(parsed(address)).await,
        ["agent", file, upstream] => tunnel::agent(file, parsed(upstream)).await,
        ["edge", address, upstream, workers, ref airflow @ ..] => {
            let behind = Behind::Address(parsed(upstream));
            edge(
                parsed(address),
                behind,
                workers.parse().unwrap(),
                airflow_of(airflow),
            )
            .await;
        }
        [
            "edge-through-tunnel",
            address,
            listen,
            workers,
            agent_file,
            ref airflow @ ..,
        ] => {
            let behind = Behind::Tunnels {
                listen: parsed(listen),
                agent_file,
            };
            edge(
                parsed(address),
                behind,
                workers.parse().unwrap(),
                airflow_of(airflow),
            )
            .await;
        }
        _ => eprintln!("usage: see the first lines of this program"),
    }
}

fn parsed(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn airflow_of<'a>(arguments: &[&'a str]) -> Option<Airflow<'a>> {
    let [assets, jwks] = arguments else { return None };
    Some(Airflow { assets, jwks })
}

async fn edge(listen: SocketAddr, behind: Behind<'_>, workers: usize, airflow: Option<Airflow<'_>>) {
    // The same for each edge, so that one Airflow believes several.
    let session_key = SigningKey::from_seed("session", &[1; 32]).unwrap();
    let host = listen.to_string();
    let upstream = match behind {
        Behind::Address(address) => Upstream::Direct(address),
        Behind::Tunnels { .. } => Upstream::Tunnel { node: NODE },
    };
    let mut snapshot = control::snapshot(&host, upstream, &session_key);
    let tunnels = behind.admitted(&mut snapshot);
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control_url = format!("http://{}", control.local_addr().unwrap());
    let told = serde_json::to_vec(&snapshot).unwrap().into();
    let (tunnel_listen, certificate) = tunnels.unzip();
    tokio::spawn(control::serve(control, told, certificate.unwrap_or_default()));

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "bench").unwrap();
    let mut config = EdgeConfig::new(
        control_url.parse().unwrap(),
        dir.path().join("token"),
        dir.path().join("state"),
        dir.path().join("assets"),
    );
    config.listen_address = listen.ip();
    config.listen_port = listen.port();
    config.workers = workers;
    config.tunnel_listen = tunnel_listen;
    if let Some(Airflow { assets, jwks }) = airflow {
        config.asset_dir = assets.into();
        let keys = PublicKey::jwks(&[snapshot.airflow_key.public().clone()]);
        std::fs::write(jwks, keys.to_string()).unwrap();
    }
    let claims = control::claims(&host);
    let cookie = mint_session_token(&session_key, &claims).unwrap();
    println!("updraft_edge={cookie}");
    std::thread::spawn(move || hand_out_tokens(&snapshot.airflow_key, &claims));
    updraft_edge::run(config, CancellationToken::new()).await.unwrap();
}

fn hand_out_tokens(key: &SigningKey, claims: &SessionClaims) {
    for _ in std::io::stdin().lines() {
        let visitor = claims.clone().into();
        let token = mint_airflow_token(key, &visitor, ClusterId(1), ClusterRole::Admin, Utc::now());
        println!("Bearer {}", token.unwrap());
    }
}

// === impl Behind ===

impl Behind<'_> {
    /// Where tunnels are awaited and what is shown to those who dial, if they are.
    fn admitted(&self, snapshot: &mut Snapshot) -> Option<(SocketAddr, Bytes)> {
        let Self::Tunnels { listen, agent_file } = self else {
            return None;
        };
        let (certificate, assignment) = tunnel::credentials(*listen);
        snapshot.routes[0].tunnel = Some(TunnelGuest {
            node: NODE,
            token_sha256: TokenHash(TokenDigest::of(&assignment.token).0),
            others_sha256: Vec::new(),
        });
        std::fs::write(agent_file, serde_json::to_vec(&assignment).unwrap()).unwrap();
        Some((*listen, serde_json::to_vec(&certificate).unwrap().into()))
    }
}
