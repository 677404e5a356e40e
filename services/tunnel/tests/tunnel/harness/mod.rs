//! What the tests are made of.

mod authority;
mod balancer;
mod edge;
mod service;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use updraft_model::{EdgeId, NodeId};
use updraft_tunnel::{FarEnd, FarSettings, Pace};
use uuid::Uuid;

pub(crate) use authority::{Authority, SERVER_NAME};
pub(crate) use balancer::Balancer;
pub(crate) use edge::Edge;
pub(crate) use service::Service;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Quicker than in production, so that no test waits for long.
pub(crate) fn pace() -> Pace {
    Pace {
        introduce: Duration::from_secs(2),
        pulse: Duration::from_millis(300),
        answer: Duration::from_millis(1500),
        connect: Duration::from_secs(10),
        retire: Duration::from_millis(500),
    }
}

pub(crate) fn node() -> NodeId {
    NodeId(Uuid::new_v4())
}

pub(crate) fn token(word: &str) -> secrecy::SecretString {
    format!("{word}-0123456789abcdef0123456789abcdef").into()
}

pub(crate) fn settings(
    authority: &Authority,
    node: NodeId,
    address: SocketAddr,
    target: SocketAddr,
) -> FarSettings {
    FarSettings {
        node,
        address: address.to_string(),
        server_name: SERVER_NAME.to_owned(),
        ca_pem: authority.ca_pem(),
        token: token("good"),
        edges: BTreeSet::new(),
        target,
    }
}

/// A node's far end that knows of these edges.
pub(crate) fn far_end(settings: &FarSettings, edges: impl IntoIterator<Item = EdgeId>) -> FarEnd {
    let mut settings = settings.clone();
    settings.edges = edges.into_iter().collect();
    FarEnd::start(settings, pace())
}

/// Until each of these edges has its two tunnels.
pub(crate) async fn reached(far: &FarEnd, edges: &[EdgeId]) {
    let mut standing = far.standing();
    let all = standing.wait_for(|standing| edges.iter().all(|edge| standing.get(edge) == Some(&2)));
    timeout(PATIENCE, all).await.unwrap().unwrap();
}

pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}
