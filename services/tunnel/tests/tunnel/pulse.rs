//! A path that is lost without a farewell is noticed from both ends, and found again.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::harness::{
    Authority, Balancer, Edge, Service, eventually, far_end, node, pace, reached, settings,
};

const WAIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_fell_silent_is_given_up_by_both_ends_and_dialled_again() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let edge = Edge::start(&authority, node).await;
    let balancer = Balancer::before(vec![edge.address]).await;
    let settings = settings(&authority, node, balancer.address, service.address);
    let far = far_end(&settings, [edge.id()]);
    reached(&far, &[edge.id()]).await;
    let mut stream = edge.near.open(node, WAIT).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');

    balancer.fall_silent(true);
    let since = Instant::now();
    assert!(
        timeout(WAIT, stream.read_u8())
            .await
            .expect("the edge notices")
            .is_err()
    );
    let patience = pace().pulse * 2 + pace().answer + Duration::from_secs(1);
    assert!(since.elapsed() < patience, "{:?}", since.elapsed());
    let mut standing = far.standing();
    timeout(WAIT, standing.wait_for(|standing| standing.is_empty()))
        .await
        .expect("so does the agent")
        .unwrap();

    balancer.fall_silent(false);
    reached(&far, &[edge.id()]).await;
    eventually("the edge has them too", || async { edge.near.count(node) == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_on_which_nothing_happens_lives_on() {
    let (authority, node, service) = (Authority::new(), node(), Service::echo().await);
    let edge = Edge::start(&authority, node).await;
    let balancer = Balancer::before(vec![edge.address]).await;
    let far = far_end(
        &settings(&authority, node, balancer.address, service.address),
        [edge.id()],
    );
    reached(&far, &[edge.id()]).await;
    let dials = || balancer.connections.load(std::sync::atomic::Ordering::Relaxed);
    let before = dials();
    let mut stream = edge.near.open(node, WAIT).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    // Longer than silence would be borne.
    let silence = timeout(2 * (pace().pulse + pace().answer), stream.read_u8()).await;
    assert!(silence.is_err(), "neither a byte nor an end");
    assert_eq!((dials(), edge.near.count(node)), (before, 2));
}
