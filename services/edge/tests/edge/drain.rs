//! An edge is replaced under load: nobody notices.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use updraft_edge::{EdgeConfig, EdgeError};
use updraft_testing::free_port;

use crate::harness::{ALICE, Balancer, Call, Connection, World, until};

const HOST: &str = "c1.airflow.example";

/// One of several edges that serve the same names.
struct Edge {
    config: EdgeConfig,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), EdgeError>>,
}

impl Edge {
    fn start(config: EdgeConfig) -> Self {
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(updraft_edge::run(config.clone(), shutdown.clone()));
        Self {
            config,
            shutdown,
            running,
        }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.config.listen_port).into()
    }

    /// Another process in its place, once it has ended by itself.
    async fn replace(self) -> Self {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
        Self::start(self.config)
    }
}

fn two_edges(world: &World) -> [Edge; 2] {
    [0, 1].map(|number| {
        let mut config = world.config.clone();
        config.listen_port = free_port();
        config.state_dir = world.dir.path().join(format!("state-{number}"));
        config.limits.leave = Duration::from_millis(400);
        Edge::start(config)
    })
}

/// Asks again and again on a connection that is kept as long as the edge keeps it; whatever is not answered fails.
async fn keep_asking(call: Call, balancer: SocketAddr, until: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let balancer = balancer.to_string();
    while !until.load(Ordering::Relaxed) {
        let mut connection = Connection::to(&balancer).await;
        loop {
            let answer = connection.send(call.clone()).await;
            assert_eq!(answer.status, StatusCode::OK);
            answered.fetch_add(1, Ordering::Relaxed);
            if answer.header("connection") == Some("close") || until.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_is_replaced_under_load_and_no_request_fails() {
    let world = World::prepare().await;
    world.control.publish(|s| s.routes[0].host = HOST.into());
    let [leaving, staying] = two_edges(&world);
    let balancer = Balancer::before(vec![leaving.address(), staying.address()]).await;
    until("both edges are in", || async {
        balancer.has(0) && balancer.has(1)
    })
    .await;

    let mut claims = world.claims(ALICE, 1);
    claims.host = HOST.into();
    let call = world
        .get(1, "/")
        .with("host", HOST)
        .signed_in(&world.mint(&claims));
    let (enough, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (enough, answered) = (Arc::clone(&enough), Arc::clone(&answered));
            tokio::spawn(keep_asking(call.clone(), balancer.address, enough, answered))
        })
        .collect();
    let more = || async {
        let so_far = answered.load(Ordering::Relaxed);
        until("some more answers", || async {
            answered.load(Ordering::Relaxed) >= so_far + 50
        })
        .await;
    };
    more().await;
    let replaced = tokio::spawn(leaving.replace());
    until("the balancer has taken it out", || async { !balancer.has(0) }).await;
    let dealt = balancer.dealt(0);
    more().await;
    assert_eq!(balancer.dealt(0), dealt, "nothing new comes to it");
    let replaced = replaced.await.unwrap();
    until("its successor is in", || async { balancer.has(0) }).await;
    more().await;
    enough.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    for edge in [replaced, staying] {
        edge.shutdown.cancel();
    }
}
