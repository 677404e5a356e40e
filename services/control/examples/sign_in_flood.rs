//! What a flood of sign-ins does to everybody else: `GET /clusters` with and without one, rounds interleaved.
//!
//! REST over a real database on a real socket, in one process with those who ask, so that both share the cores. The
//! limits per account and address are open: this is the flood that comes from everywhere at once. Half of the
//! passwords are right. `tests/bench/sign_in/run` starts it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use updraft_app::{App, AppConfig, Quota, SignInQuota};
use updraft_authz::SigningKey;
use updraft_control::{RestConfig, RestState, rest_router};
use updraft_runtimes::Catalogue;
use updraft_store::secrets::MasterKey;
use updraft_store::testing::TestDatabase;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";
const AT_ONCE: usize = 128;
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Whoever was first installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let database = TestDatabase::create().await?;
    let base = serve(&database).await?;
    let client = Client::new();
    let signed_in = client
        .post(format!("{base}/sessions"))
        .json(&credentials(PASSWORD));
    let signed_in: serde_json::Value = signed_in.send().await?.error_for_status()?.json().await?;
    let token = signed_in["token"].as_str().unwrap_or_default().to_owned();

    let (mut quiet, mut flooded, mut answers) = (Vec::new(), Vec::new(), BTreeMap::new());
    for _ in 0..ROUNDS {
        quiet.extend(ask(&client, &base, &token).await?);
        let stop = CancellationToken::new();
        let mut flood: JoinSet<_> = (0..AT_ONCE)
            .map(|n| pour(client.clone(), base.clone(), n, stop.clone()))
            .collect();
        flooded.extend(ask(&client, &base, &token).await?);
        stop.cancel();
        while let Some(seen) = flood.join_next().await {
            for (status, count) in seen?? {
                *answers.entry(status).or_insert(0_usize) += count;
            }
        }
    }
    println!("GET /clusters         {}", summary(&mut quiet));
    println!("GET /clusters, flood  {}", summary(&mut flooded));
    let seconds = ROUND.as_secs_f64() * f64::from(u32::try_from(ROUNDS)?);
    for (status, count) in answers {
        let rate = f64::from(u32::try_from(count)?) / seconds;
        println!("sign-ins answered {status}  {rate:.0} per second, {AT_ONCE} at once");
    }
    Ok(())
}

async fn serve(database: &TestDatabase) -> Result<String, Failure> {
    let key = SigningKey::from_seed("bench", &[7; 32])?;
    let mut config = AppConfig::local(7700, 7701, key, Arc::new(MasterKey::from_bytes([7; 32])));
    config.sign_in_quota = SignInQuota {
        account_burst: NonZeroU32::MAX,
        account_refill: Duration::from_nanos(1),
        address_burst: NonZeroU32::MAX,
        address_refill: Duration::from_nanos(1),
    };
    let app = App::new(database.store().clone(), Arc::new(Catalogue::embedded()?), config)?;
    let quota = Quota {
        max_clusters: 5,
        max_nodes: 50,
    };
    app.install_tenant("Bench", quota, EMAIL, "Ada", &PASSWORD.to_owned().into())
        .await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let host = format!("localhost:{}", listener.local_addr()?.port());
    let rest = RestConfig {
        allowed_hosts: vec![host.clone()],
        allowed_origins: Vec::new(),
    };
    let router = rest_router(RestState::new(app, rest, CancellationToken::new()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{host}/api/v1"))
}

/// How long each answer took, in milliseconds, for one round.
async fn ask(client: &Client, base: &str, token: &str) -> Result<Vec<f64>, Failure> {
    let (mut took, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < ROUND {
        let asked = Instant::now();
        let answer = client
            .get(format!("{base}/clusters"))
            .bearer_auth(token)
            .send()
            .await?;
        answer.error_for_status()?.bytes().await?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(took)
}

/// One of those who flood, as fast as the answers come; who is told to come again waits for a moment.
async fn pour(
    client: Client,
    base: String,
    n: usize,
    stop: CancellationToken,
) -> Result<BTreeMap<u16, usize>, Failure> {
    let mut seen = BTreeMap::new();
    let body = credentials(if n.is_multiple_of(2) {
        PASSWORD
    } else {
        "a wrong guess"
    });
    while !stop.is_cancelled() {
        let answer = client.post(format!("{base}/sessions")).json(&body).send().await?;
        *seen.entry(answer.status().as_u16()).or_insert(0) += 1;
        if answer.status() == 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(seen)
}

fn credentials(password: &str) -> serde_json::Value {
    json!({"email": EMAIL, "password": password})
}

fn summary(took: &mut [f64]) -> String {
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    let [p50, p99] = [50, 99].map(|percent| at(percent).copied().unwrap_or_default());
    format!("p50 {p50:.1} ms  p99 {p99:.1} ms  ({} answers)", took.len())
}
