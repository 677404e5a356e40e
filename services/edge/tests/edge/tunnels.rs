//! Airflows that cannot be connected to, through the tunnels that their agents dial: nothing a browser does differs.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::BodyExt as _;
use updraft_testing::free_port;
use updraft_tunnel::{FarEnd, Pace};

use crate::harness::{ALICE, Authority, BOB, Call, Upstream, WebNode, World, until};
use crate::websockets;

/// One edge whose cluster 1 is behind tunnels.
struct Behind {
    world: World,
    authority: Authority,
    web: WebNode,
}

impl Behind {
    async fn start() -> Self {
        let mut world = World::prepare().await;
        world.config.tunnel_listen = Some((Ipv4Addr::LOCALHOST, free_port()).into());
        let authority = Authority::new();
        world.control.certify(&authority.certificate());
        world.start_edge().await;
        let web = WebNode::new();
        web.publish(&world, 1).await;
        Self {
            world,
            authority,
            web,
        }
    }

    fn dial(&self) -> FarEnd {
        self.web
            .dial(&self.world, &self.authority, self.airflow().address)
    }

    fn airflow(&self) -> &Upstream {
        &self.world.upstreams[0]
    }

    fn page(&self) -> Call {
        self.world
            .get(1, "/home")
            .signed_in(&self.world.session(ALICE, 1))
    }

    async fn tunnels(&self) -> u64 {
        let health = Call::get(&self.world.host(1), "/_updraft/health").send().await;
        health.json()["tunnels"]["open"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn pages_bodies_events_and_websockets_pass() {
    let behind = Behind::start().await;
    let _far = behind.dial();
    let world = &behind.world;
    let session = world.session(ALICE, 1);

    let page = behind.page().send().await;
    assert_eq!(
        (page.status, page.json()["upstream"].as_str()),
        (StatusCode::OK, Some("airflow-1"))
    );

    let mut download = world.get(1, "/download").signed_in(&session).stream().await;
    let mut received = 0;
    while let Some(frame) = download.body_mut().frame().await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, 200 << 20);

    let mut events = world
        .get(1, "/events")
        .signed_in(&session)
        .stream_after(behind.airflow())
        .await;
    for n in 0..3 {
        behind.airflow().send_event();
        assert_eq!(events.next().await.unwrap(), format!("data: {n}\n\n"));
    }
    drop(events);
    behind.airflow().given_up().await;

    let mut socket = websockets::open(websockets::handshake(world, &world.session(BOB, 1))).await;
    websockets::echo(&mut socket, "hello").await;
    websockets::echo(&mut socket, &"x".repeat(100_000)).await;
}

#[tokio::test]
async fn requests_share_connections_through_the_tunnel() {
    let behind = Behind::start().await;
    let _far = behind.dial();
    for _ in 0..20 {
        assert_eq!(behind.page().send().await.status, StatusCode::OK);
    }
    // One for each serving thread at most.
    assert!(
        behind.airflow().connections() <= 2,
        "{}",
        behind.airflow().connections()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_takes_the_place_of_the_tunnels_own_without_a_failed_request() {
    let behind = Behind::start().await;
    let far = behind.dial();
    let (world, next) = (&behind.world, Authority::new());
    let stop = tokio_util::sync::CancellationToken::new();
    let (page, stopped) = (behind.page(), stop.clone());
    let load = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.is_cancelled() {
            assert_eq!(page.clone().send().await.status, StatusCode::OK);
            count += 1;
        }
        count
    });
    let settings = |ca_pem| behind.web.settings(world, ca_pem, behind.airflow().address);
    far.update(settings(behind.authority.and(&next)));
    world
        .control
        .certify(&next.certificate_of(Some("tunnel-authority-2")));
    world
        .publish(|s| s.tunnel_authority = Some("tunnel-authority-2".to_owned()))
        .await;
    until("control hears that the edge shows the other", || async {
        world.control.publish(|_| ());
        world.control.keys() == "airflow,tunnel-authority-2"
    })
    .await;
    far.update(settings(next.pem()));
    assert!(behind.tunnels().await >= 1, "tunnels that were open stay");
    stop.cancel();
    assert!(load.await.unwrap() > 0);
    drop(far);
    until("the old tunnels are gone", || async {
        behind.tunnels().await == 0
    })
    .await;
    let _believes_only_the_next = FarEnd::start(settings(next.pem()), Pace::default());
    until("it has its tunnels", || async { behind.tunnels().await >= 2 }).await;
    assert_eq!(behind.page().send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_waits_a_moment_for_the_first_tunnel_and_says_then_that_airflow_does_not_answer() {
    let mut behind = Behind::start().await;
    behind.world.config.limits.connect = Duration::from_millis(300);
    behind.world.stop_edge().await;
    behind.world.start_edge().await;
    let since = Instant::now();
    let none = behind.page().send().await;
    assert_eq!(none.status, StatusCode::BAD_GATEWAY);
    assert!(none.text().contains("cluster-1 does not answer"));
    assert!(since.elapsed() >= Duration::from_millis(300));

    behind.world.config.limits.connect = Duration::from_secs(10);
    behind.world.stop_edge().await;
    behind.world.start_edge().await;
    let asked = tokio::spawn(behind.page().send());
    let _far = behind.dial();
    assert_eq!(asked.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_replaced_nodes_tunnels_lead_nowhere_from_the_next_request_on() {
    let behind = Behind::start().await;
    let _old = behind.dial();
    assert_eq!(behind.page().send().await.json()["upstream"], "airflow-1");
    let successor = WebNode::new();
    let target = behind.world.upstreams[1].address;
    let _new = successor.dial(&behind.world, &behind.authority, target);
    successor.publish(&behind.world, 1).await;
    for _ in 0..4 {
        assert_eq!(behind.page().send().await.json()["upstream"], "airflow-2");
    }
}

#[tokio::test]
async fn a_nodes_tunnel_is_of_no_use_to_another_cluster() {
    let behind = Behind::start().await;
    let _far = behind.dial();
    let other = WebNode::new();
    other.publish(&behind.world, 2).await;
    assert_eq!(behind.page().send().await.status, StatusCode::OK);
    let session = behind.world.session(ALICE, 2);
    let answer = behind.world.get(2, "/home").signed_in(&session).send().await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn with_control_gone_a_restarted_edge_is_dialled_again_and_serves() {
    let mut behind = Behind::start().await;
    let _far = behind.dial();
    assert_eq!(behind.page().send().await.status, StatusCode::OK);
    behind.world.control.kill();
    behind.world.stop_edge().await;
    behind.world.start_edge().await;
    behind.world.until_control_is("unreachable").await;
    let page = behind.page().send().await;
    assert_eq!(
        (page.status, page.json()["upstream"].as_str()),
        (StatusCode::OK, Some("airflow-1"))
    );
}

#[tokio::test]
async fn tunnels_are_there_before_the_cluster_is_up() {
    let behind = Behind::start().await;
    let starting = updraft_api::edge::RouteState::Starting { waiting_for: None };
    behind.world.publish_state(1, starting).await;
    let _far = behind.dial();
    until("both are open", || async { behind.tunnels().await == 2 }).await;
}
