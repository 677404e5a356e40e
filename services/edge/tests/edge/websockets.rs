use http::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use updraft_model::ClusterId;

use crate::harness::{ALICE, BOB, Call, World, until};

pub(crate) fn handshake(world: &World, token: &str) -> Call {
    world
        .get(1, "/ws")
        .with("connection", "keep-alive, Upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-version", "13")
        .with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .with("origin", &format!("http://{}", world.host(1)))
        .signed_in(token)
}

pub(crate) async fn open(call: Call) -> TokioIo<Upgraded> {
    let response = call.stream().await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

pub(crate) async fn echo(socket: &mut TokioIo<Upgraded>, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut back = vec![0; text.len()];
    socket.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text.as_bytes());
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_under_the_persons_role() {
    let world = World::start().await;
    let response = handshake(&world, &world.session(BOB, 1)).stream().await;
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert!(
        response.headers()["x-token-seen"]
            .to_str()
            .unwrap()
            .starts_with("Bearer ey")
    );
    let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    echo(&mut socket, "hello").await;
    echo(&mut socket, &"x".repeat(100_000)).await;
}

#[tokio::test]
async fn a_websocket_needs_a_session_a_role_and_this_origin() {
    let world = World::start().await;
    let good = world.session(ALICE, 1);
    let refused = [
        (
            handshake(&world, &good).with("origin", "http://evil.example"),
            StatusCode::FORBIDDEN,
        ),
        (handshake(&world, &good).without("origin"), StatusCode::FORBIDDEN),
        (handshake(&world, "").without("cookie"), StatusCode::UNAUTHORIZED),
        (
            handshake(&world, &world.session(crate::harness::CAROL, 1)),
            StatusCode::NOT_FOUND,
        ),
    ];
    for (call, status) in refused {
        assert_eq!(call.send().await.status, status);
    }
    assert_eq!(world.upstreams[0].requests(), 0);
}

#[tokio::test]
async fn a_websocket_closes_when_the_right_is_taken_away() {
    let world = World::start().await;
    let mut socket = open(handshake(&world, &world.session(BOB, 1))).await;
    echo(&mut socket, "before").await;
    world.publish(|s| s.routes[1].runtime = "unrelated".into()).await;
    echo(&mut socket, "an unrelated change").await;
    world
        .publish(|s| {
            s.policy
                .clusters
                .get_mut(&ClusterId(1))
                .unwrap()
                .grants
                .remove(&BOB);
        })
        .await;
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_websocket_ends_with_its_session() {
    let world = World::start().await;
    let mut claims = world.claims(ALICE, 1);
    claims.exp = claims.iat + 2;
    let mut socket = open(handshake(&world, &world.mint(&claims))).await;
    echo(&mut socket, "before").await;
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

/// RFC 6455: 1001 is "going away", and nothing can be put inside a frame.
#[tokio::test]
async fn an_edge_that_stops_ends_websockets_between_two_frames_and_says_why() {
    let mut world = World::start().await;
    let mut socket = open(handshake(&world, &world.session(ALICE, 1))).await;
    echo(&mut socket, "\u{1}\u{5}whole\u{1}\u{8}half").await;
    world.begin_stop();
    let host = world.host(1);
    until("nothing new is accepted", || async {
        tokio::net::TcpStream::connect(&host).await.is_err()
    })
    .await;
    socket.write_all(b"more").await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    let (end, words) = rest.split_at(4);
    assert_eq!(end, b"more", "the frame that had begun");
    let going_away = [0x88, 2, 0x03, 0xe9];
    assert!(words.starts_with(&going_away), "{words:?}");
    drop(socket);
    world.stop_edge().await;
}

#[tokio::test]
async fn no_other_protocol_is_switched_to() {
    let world = World::start().await;
    let call = handshake(&world, &world.session(ALICE, 1)).with("upgrade", "h2c");
    assert_eq!(call.send().await.status, StatusCode::BAD_GATEWAY);
}
