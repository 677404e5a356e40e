use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;

use updraft_model::ClusterId;

use crate::harness::{ALICE, BOB, World, until};

const SIZE: u64 = 200 << 20;

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let world = World::start().await;
    let upstream = &world.upstreams[0];
    let mut events = world
        .get(1, "/events")
        .signed_in(&world.session(ALICE, 1))
        .stream_after(upstream)
        .await;
    for n in 0..3 {
        upstream.send_event();
        assert_eq!(events.next().await.unwrap(), format!("data: {n}\n\n"));
    }
    drop(events);
    upstream.given_up().await;
}

#[tokio::test]
async fn an_open_stream_ends_when_its_session_does() {
    let world = World::start().await;
    let upstream = &world.upstreams[0];
    let claims = world.claims(ALICE, 1);
    let mut events = world
        .get(1, "/events")
        .signed_in(&world.mint(&claims))
        .stream_after(upstream)
        .await;
    upstream.send_event();
    events.next().await.unwrap();
    world
        .publish(|s| {
            s.policy.revoked_sessions.insert(claims.sid);
        })
        .await;
    upstream.send_event();
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_silent_stream_ends_when_the_role_is_taken_away() {
    let mut world = World::prepare().await;
    world.config.limits.recheck = std::time::Duration::from_millis(20);
    world.start_edge().await;
    let upstream = &world.upstreams[0];
    let mut events = world
        .get(1, "/events")
        .signed_in(&world.session(BOB, 1))
        .stream_after(upstream)
        .await;
    world.publish(|s| s.routes[1].runtime = "unrelated".into()).await;
    upstream.send_event();
    assert_eq!(events.next().await.unwrap(), "data: 0\n\n");
    world
        .publish(|s| {
            let cluster = s.policy.clusters.get_mut(&ClusterId(1)).unwrap();
            cluster.grants.remove(&BOB);
        })
        .await;
    assert_eq!(events.next().await, None);
    upstream.given_up().await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_role_is_gone_is_not_passed_on() {
    let world = World::start().await;
    let upstream = &world.upstreams[0];
    let call = world.get(1, "/later").signed_in(&world.session(BOB, 1));
    let answer = tokio::spawn(call.send());
    until("it is under way", || async { upstream.requests() == 1 }).await;
    world
        .publish(|s| {
            let cluster = s.policy.clusters.get_mut(&ClusterId(1)).unwrap();
            cluster.grants.remove(&BOB);
        })
        .await;
    upstream.send_event();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains("long ago"));
}

#[tokio::test]
async fn large_bodies_stream_both_ways_in_bounded_memory() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);

    let before = resident();
    let mut response = world.get(1, "/download").signed_in(&session).stream().await;
    let mut received = 0;
    while let Some(frame) = response.body_mut().frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
    }
    assert_eq!(received, 3200 << 16);

    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let frames = futures::stream::iter(
        (0..SIZE >> 20).map(move |_| Ok::<_, std::io::Error>(Frame::data(chunk.clone()))),
    );
    let stream = tokio::net::TcpStream::connect(world.host(1)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("/airflow-webserver-1/upload")
        .header("host", world.host(1))
        .header("origin", format!("http://{}", world.host(1)))
        .header("cookie", format!("updraft_edge={session}"))
        .body(StreamBody::new(frames))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        SIZE.to_string()
    );

    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "memory grew by {} MB", grown >> 20);
}

#[tokio::test]
async fn an_upload_reaches_the_upstream_before_it_is_complete() {
    let world = World::start().await;
    let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = tokio_stream(receive).map(|b| Ok::<_, std::io::Error>(Frame::data(b)));
    let stream = tokio::net::TcpStream::connect(world.host(1)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("/airflow-webserver-1/upload")
        .header("host", world.host(1))
        .header("authorization", format!("Bearer {}", world.session(ALICE, 1)))
        .body(StreamBody::new(Box::pin(frames)))
        .unwrap();
    let answer = tokio::spawn(async move { sender.send_request(request).await.unwrap().status() });
    send.send(Bytes::from_static(b"first")).await.unwrap();
    let uploaded = world.upstreams[0].uploaded();
    until("the first part arrived", || async { *uploaded.borrow() == 5 }).await;
    drop(send);
    assert_eq!(answer.await.unwrap(), 200);
}

fn tokio_stream(receive: tokio::sync::mpsc::Receiver<Bytes>) -> impl futures::Stream<Item = Bytes> {
    futures::stream::unfold(receive, |mut receive| async {
        Some((receive.recv().await?, receive))
    })
}

/// Bytes of memory in use by this process, peers included.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}
