//! What one connection was found to be for one request is not believed for the next.

use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use updraft_authz::SigningKey;
use updraft_model::ClusterId;

use crate::harness::{ALICE, BOB, CAROL, Call, Connection, World};
use crate::headers::claims;

#[tokio::test]
async fn each_request_is_its_own_persons() {
    let world = World::start().await;
    let mut connection = Connection::to(&world.host(1)).await;
    for person in [ALICE, BOB, ALICE] {
        let call = world.get(1, "/").signed_in(&world.session(person, 1));
        let seen = connection.send(call).await.json();
        assert_eq!(claims(&seen)["sub"], person.to_string());
    }
    let call = world.get(1, "/").signed_in(&world.session(CAROL, 1));
    assert_eq!(connection.send(call).await.status, StatusCode::NOT_FOUND);
    let call = world.get(1, "/").without("accept");
    assert_eq!(connection.send(call).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn cookies_beside_the_session_are_read_anew() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    let mut connection = Connection::to(&world.host(1)).await;
    for theme in ["dark", "dark", "light"] {
        let cookies = format!("theme={theme}; updraft_edge={session}");
        let call = world.get(1, "/").with("cookie", &cookies);
        let seen = connection.send(call).await.json();
        assert_eq!(seen["headers"]["cookie"], format!("theme={theme}"));
    }
    let bearer = format!("Bearer {}", world.session(BOB, 1));
    let call = world
        .get(1, "/")
        .signed_in(&session)
        .with("authorization", &bearer);
    let seen = connection.send(call).await.json();
    assert_eq!(claims(&seen)["sub"], BOB.to_string());
}

#[tokio::test]
async fn a_session_is_good_for_its_host_alone() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    let mut connection = Connection::to(&world.host(1)).await;
    let call = world.get(1, "/").signed_in(&session).without("accept");
    assert_eq!(connection.send(call).await.status, StatusCode::OK);
    let elsewhere = Call::get(&world.host(2), "/airflow-webserver-2/").without("accept");
    let call = elsewhere.signed_in(&session);
    assert_eq!(connection.send(call).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_was_taken_away_is_gone_with_the_next_request() {
    let world = World::start().await;
    let (alice, bob) = (world.session(ALICE, 1), world.session(BOB, 1));
    let mut connection = Connection::to(&world.host(1)).await;
    let call = |session: &str| world.get(1, "/").signed_in(session).without("accept");
    assert_eq!(connection.send(call(&bob)).await.status, StatusCode::OK);

    world
        .publish(|s| {
            let cluster = s.policy.clusters.get_mut(&ClusterId(1)).unwrap();
            cluster.grants.clear();
        })
        .await;
    assert_eq!(connection.send(call(&bob)).await.status, StatusCode::NOT_FOUND);

    assert_eq!(connection.send(call(&alice)).await.status, StatusCode::OK);
    let fresh = SigningKey::from_seed("session-2", &[3; 32]).unwrap();
    world
        .publish(|s| s.session_keys = vec![fresh.public().clone()])
        .await;
    assert_eq!(
        connection.send(call(&alice)).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let world = World::start().await;
    let mut claims = world.claims(ALICE, 1);
    claims.exp = chrono::Utc::now().timestamp() + 2;
    let session = world.mint(&claims);
    let mut connection = Connection::to(&world.host(1)).await;
    let call = || world.get(1, "/").signed_in(&session).without("accept");
    assert_eq!(connection.send(call()).await.status, StatusCode::OK);
    while chrono::Utc::now().timestamp() < claims.exp {
        tokio::task::yield_now().await;
    }
    assert_eq!(connection.send(call()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let mut world = World::prepare().await;
    world.config.limits.head = Duration::from_millis(50);
    world.start_edge().await;
    assert_eq!(Call::raw(&world.host(1), "GET / HTTP/1.1\r\nHost:").await, "");
    assert_eq!(Call::raw(&world.host(1), "").await, "");
}

#[tokio::test]
async fn a_connection_that_is_silent_for_longer_than_a_head_may_take_is_still_served() {
    let mut world = World::prepare().await;
    world.config.limits.head = Duration::from_millis(50);
    world.start_edge().await;
    let mut connection = Connection::to(&world.host(1)).await;
    for _ in 0..2 {
        let call = world.get(1, "/").signed_in(&world.session(ALICE, 1));
        assert_eq!(connection.send(call).await.status, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let call = world.get(1, "/").signed_in(&world.session(ALICE, 1));
    assert_eq!(connection.send(call).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_further_head_that_has_begun_and_does_not_end_closes_the_connection() {
    let mut world = World::prepare().await;
    world.config.limits.head = Duration::from_millis(300);
    world.start_edge().await;
    let mut client = Client::connect(&world.host(1)).await;
    client.send("HEAD / HTTP/1.1\r\nHost: somewhere\r\n\r\n").await;
    client.read_head().await;
    // A byte now and then puts nothing off.
    let began = Instant::now();
    for byte in ["G", "E", "T", " "] {
        client.send(byte).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(client.is_closed_within(Duration::from_secs(10)).await);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_connection_without_a_further_request_is_closed_in_the_end() {
    let mut world = World::prepare().await;
    world.config.limits.idle = Duration::from_millis(200);
    world.start_edge().await;
    let mut client = Client::connect(&world.host(1)).await;
    client.send("HEAD / HTTP/1.1\r\nHost: somewhere\r\n\r\n").await;
    client.read_head().await;
    assert!(client.is_closed_within(Duration::from_secs(10)).await);
}

/// One that sends what it likes.
struct Client(TcpStream);

impl Client {
    async fn connect(host: &str) -> Self {
        Self(TcpStream::connect(host).await.unwrap())
    }

    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// The answer to HEAD, which has no body.
    async fn read_head(&mut self) {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            assert!(self.0.read_buf(&mut read).await.unwrap() > 0, "closed: {read:?}");
        }
    }

    async fn is_closed_within(&mut self, limit: Duration) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(limit, self.0.read_to_end(&mut rest))
            .await
            .is_ok()
    }
}
