//! The spike: two edges behind one TCP balancer, one of them killed mid-stream.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use updraft_tunnel::TunnelStream;

use crate::harness::{Authority, Balancer, Edge, Service, eventually, far_end, node, reached, settings};

const WAIT: Duration = Duration::from_secs(5);

async fn round_trip(stream: &mut TunnelStream, word: &[u8]) -> io::Result<()> {
    stream.write_all(word).await?;
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, word);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_edges_behind_one_balancer_are_reached_twice_each() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let (one, two) = (
        Edge::start(&authority, node).await,
        Edge::start(&authority, node).await,
    );
    let balancer = Balancer::before(vec![one.address, two.address]).await;
    let far = far_end(
        &settings(&authority, node, balancer.address, service.address),
        [one.id(), two.id()],
    );
    reached(&far, &[one.id(), two.id()]).await;
    for edge in [&one, &two] {
        eventually("the edge has registered both", || async {
            edge.near.count(node) == 2
        })
        .await;
        let mut stream = edge.near.open(node, WAIT).await.unwrap();
        round_trip(&mut stream, b"hello").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_the_balancer_hides_for_long_is_reached_all_the_same() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let (one, two) = (
        Edge::start(&authority, node).await,
        Edge::start(&authority, node).await,
    );
    // Nine of ten connections go to the one.
    let mut targets = vec![one.address; 9];
    targets.push(two.address);
    let balancer = Balancer::before(targets).await;
    let far = far_end(
        &settings(&authority, node, balancer.address, service.address),
        [one.id(), two.id()],
    );
    reached(&far, &[one.id(), two.id()]).await;
    assert_eq!(one.near.count(node), 2, "what is too many is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_killed_mid_stream_breaks_its_own_streams_alone_and_is_dialled_again_within_a_second() {
    let (authority, node) = (Authority::new(), node());
    let (echo, talker) = (Service::echo().await, Service::talker().await);
    let (mut killed, other) = (
        Edge::start(&authority, node).await,
        Edge::start(&authority, node).await,
    );
    let balancer = Balancer::before(vec![killed.address, other.address]).await;
    let settings = settings(&authority, node, balancer.address, talker.address);
    let far = far_end(&settings, [killed.id(), other.id()]);
    reached(&far, &[killed.id(), other.id()]).await;
    let mut broken = killed.near.open(node, WAIT).await.unwrap();
    let mut unharmed = other.near.open(node, WAIT).await.unwrap();
    let mut block = vec![0; 32 << 10];
    for stream in [&mut broken, &mut unharmed] {
        stream.write_all(b"x").await.unwrap();
        stream.read_exact(&mut block).await.unwrap();
    }

    killed.kill();
    let since = Instant::now();
    let error = loop {
        // What had come before the kill may be read yet.
        match broken.read_exact(&mut block).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "noticed at once: {error}"
    );
    for _ in 0..64 {
        unharmed.read_exact(&mut block).await.unwrap();
    }

    // It comes back where it was, as another process; control still names the old one.
    let restarted = Edge::start_at(killed.address, Some(authority.identity()), node).await;
    let back = Instant::now();
    reached(&far, &[restarted.id(), other.id()]).await;
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    let mut again = restarted.near.open(node, WAIT).await.unwrap();
    again.write_all(b"x").await.unwrap();
    again.read_exact(&mut block).await.unwrap();
    unharmed.read_exact(&mut block).await.unwrap();
    drop(echo);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_for_an_edge_that_never_comes_gets_rarer() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let edge = Edge::start(&authority, node).await;
    let balancer = Balancer::before(vec![edge.address]).await;
    let gone = updraft_model::EdgeId(uuid::Uuid::new_v4());
    let far = far_end(
        &settings(&authority, node, balancer.address, service.address),
        [edge.id(), gone],
    );
    reached(&far, &[edge.id()]).await;
    let dials = || balancer.connections.load(std::sync::atomic::Ordering::Relaxed);
    let since = Instant::now();
    eventually("some more dials", || async { dials() >= 12 }).await;
    assert!(since.elapsed() > Duration::from_millis(400), "not in a busy loop");
    assert_eq!(edge.near.count(node), 2, "and what it finds besides is not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_control_learns_of_later_is_reached_at_once() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let (one, two) = (
        Edge::start(&authority, node).await,
        Edge::start(&authority, node).await,
    );
    let balancer = Balancer::before(vec![one.address, two.address]).await;
    let mut settings = settings(&authority, node, balancer.address, service.address);
    let far = far_end(&settings, [one.id()]);
    reached(&far, &[one.id()]).await;
    settings.edges = [one.id(), two.id()].into();
    far.update(settings);
    reached(&far, &[one.id(), two.id()]).await;
}
