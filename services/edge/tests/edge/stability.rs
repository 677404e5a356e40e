use std::os::unix::fs::PermissionsExt as _;

use http::StatusCode;
use updraft_api::edge::RouteState;
use updraft_model::EdgeId;
use uuid::Uuid;

use crate::harness::{ALICE, Call, World, until};

#[tokio::test]
async fn with_control_gone_signed_in_people_go_on_and_sign_in_says_so() {
    let mut world = World::start().await;
    let session = world.session(ALICE, 1);
    world.control.kill();
    world.until_control_is("unreachable").await;
    assert_eq!(
        world.get(1, "/").signed_in(&session).send().await.status,
        StatusCode::OK
    );
    let stranger = world.get(1, "/").send().await;
    assert_eq!(stranger.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(stranger.text().contains("Sign-in is not available right now"));

    world.control.revive().await;
    world.until_control_is("reachable").await;
    assert_eq!(world.get(1, "/").send().await.status, StatusCode::SEE_OTHER);
    world.publish_state(1, RouteState::Stopped).await;
    assert_eq!(
        world.get(1, "/").signed_in(&session).send().await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn an_edge_that_starts_without_control_works_from_disk() {
    let mut world = World::start().await;
    let kept = world.dir.path().join("state/snapshot.json");
    // It serves before it has written down what.
    until("the snapshot is kept", || async { kept.exists() }).await;
    assert_eq!(
        std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
    world.stop_edge().await;
    world.control.kill();
    world.start_edge().await;
    let answer = world.get(1, "/").signed_in(&world.session(ALICE, 1)).send().await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_damaged_snapshot_on_disk_is_replaced() {
    let mut world = World::start().await;
    world.stop_edge().await;
    std::fs::write(world.dir.path().join("state/snapshot.json"), "{").unwrap();
    world.start_edge().await;
    assert_eq!(
        world
            .get(1, "/")
            .signed_in(&world.session(ALICE, 1))
            .send()
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn stopping_finishes_what_was_begun_and_accepts_nothing_new() {
    let mut world = World::start().await;
    let mut events = world
        .get(1, "/events")
        .signed_in(&world.session(ALICE, 1))
        .stream_after(&world.upstreams[0])
        .await;
    world.begin_stop();
    let host = world.host(1);
    until("nothing new is accepted", || async {
        tokio::net::TcpStream::connect(&host).await.is_err()
    })
    .await;
    world.upstreams[0].send_event();
    assert_eq!(events.next().await.unwrap(), "data: 0\n\n");
    drop(events);
    world.stop_edge().await;
}

#[tokio::test]
async fn draining_has_an_end() {
    let mut world = World::prepare().await;
    world.config.limits.drain = std::time::Duration::from_millis(50);
    world.start_edge().await;
    let call = world.get(1, "/never").signed_in(&world.session(ALICE, 1));
    tokio::spawn(call.send_quietly());
    until("the request arrived", || async {
        world.upstreams[0].requests() == 1
    })
    .await;
    world.stop_edge().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let mut world = World::prepare().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    world.config.listen_port = taken.local_addr().unwrap().port();
    let error = updraft_edge::run(world.config.clone(), Default::default())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&taken.local_addr().unwrap().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn before_the_first_snapshot_the_edge_says_it_is_starting() {
    let world = World::prepare().await;
    world.control.kill();
    let config = world.config.clone();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    tokio::spawn(updraft_edge::run(config, shutdown));
    let host = world.host(1);
    until("health answers", || async {
        tokio::net::TcpStream::connect(&host).await.is_ok()
            && Call::get(&host, "/_updraft/health").send().await.status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    assert!(
        Call::get(&host, "/airflow-webserver-1/")
            .send()
            .await
            .text()
            .contains("Updraft is starting")
    );
}

#[tokio::test]
async fn control_hears_that_an_edge_ended_from_itself_or_from_the_next_in_its_place() {
    let mut world = World::start().await;
    let orderly = world.control.edges()[0];
    world.stop_edge().await;
    assert_eq!(world.control.ended_edges(), [orderly]);

    // As one that was killed leaves it.
    let killed = EdgeId(Uuid::from_u128(7));
    let note = world.dir.path().join("state/edge-id.json");
    std::fs::write(&note, serde_json::to_vec(&killed).unwrap()).unwrap();
    world.start_edge().await;
    until("the killed one is known to have ended", || async {
        world.control.ended_edges() == [orderly, killed]
    })
    .await;
    let own: EdgeId = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
    assert_eq!(Some(&own), world.control.edges().last());
}
