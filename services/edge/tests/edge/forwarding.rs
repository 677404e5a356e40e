use http::StatusCode;

use crate::harness::{ALICE, Call, World, until};
use updraft_api::edge::RouteState;

#[tokio::test]
async fn a_request_reaches_its_own_cluster_with_path_and_query_as_sent() {
    let world = World::start().await;
    for cluster in [1, 2] {
        let session = world.session(ALICE, cluster);
        let answer = world
            .get(cluster, "/api/v2/dags?x=a%2Fb&y=%20")
            .signed_in(&session)
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["upstream"], format!("airflow-{cluster}"));
        assert_eq!(
            answer.json()["target"],
            format!("/airflow-webserver-{cluster}/api/v2/dags?x=a%2Fb&y=%20")
        );
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
    }
}

#[tokio::test]
async fn an_absolute_request_target_is_forwarded_as_a_path() {
    let world = World::start().await;
    let (host, session) = (world.host(1), world.session(ALICE, 1));
    let answer = Call::raw(
        &host,
        &format!("GET http://{host}/airflow-webserver-1/dags HTTP/1.1\r\nHost: {host}\r\nCookie: updraft_edge={session}\r\nConnection: close\r\n\r\n"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains(r#""target":"/airflow-webserver-1/dags""#),
        "{answer}"
    );
}

#[tokio::test]
async fn the_prefix_without_its_slash_is_redirected_for_any_number() {
    let world = World::start().await;
    for cluster in [1, 99] {
        let answer = Call::get(&world.host(1), &format!("/airflow-webserver-{cluster}?a=b"))
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(answer.location(), format!("/airflow-webserver-{cluster}/?a=b"));
    }
}

#[tokio::test]
async fn upstream_connections_are_kept_and_used_again() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    for _ in 0..20 {
        world.get(1, "/").signed_in(&session).send().await;
    }
    // One for each of the two serving threads.
    assert_eq!(world.upstreams[0].requests(), 20);
    assert!(
        world.upstreams[0].connections() <= 2,
        "{}",
        world.upstreams[0].connections()
    );
}

#[tokio::test]
async fn a_replaced_web_node_is_used_from_the_next_request_on() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    world.get(1, "/").signed_in(&session).send().await;
    let replacement = world.upstreams[1].address.into();
    world
        .publish_state(
            1,
            RouteState::Up {
                upstream: replacement,
            },
        )
        .await;
    assert_eq!(
        world.get(1, "/").signed_in(&session).send().await.json()["upstream"],
        "airflow-2"
    );
}

#[tokio::test]
async fn a_new_clusters_host_is_served_and_a_removed_ones_is_closed() {
    let world = World::start().await;
    let upstream = world.upstreams[0].address.into();
    let port = world.port();
    world
        .publish(|s| {
            s.routes
                .push(crate::harness::route(4, port, RouteState::Up { upstream }));
        })
        .await;
    let host = world.host(4);
    until("the new host listens", || async {
        tokio::net::TcpStream::connect(&host).await.is_ok()
    })
    .await;
    world.publish(|s| s.routes.retain(|r| r.cluster.0 != 4)).await;
    until("the old host is closed", || async {
        tokio::net::TcpStream::connect(&host).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_upstreams_work() {
    let world = World::start().await;
    let call = world.get(1, "/never").signed_in(&world.session(ALICE, 1));
    let waiting = tokio::spawn(call.send());
    until("the request arrived", || async {
        world.upstreams[0].requests() == 1
    })
    .await;
    waiting.abort();
    world.upstreams[0].given_up().await;
}

#[tokio::test]
async fn head_requests_keep_their_length_and_have_no_body() {
    let world = World::start().await;
    let answer = world
        .get(1, "/")
        .method("HEAD")
        .signed_in(&world.session(ALICE, 1))
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn other_statuses_pass_unchanged() {
    let world = World::start().await;
    let answer = world
        .get(1, "/teapot")
        .signed_in(&world.session(ALICE, 1))
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn an_upload_that_was_answered_early_holds_up_nobody() {
    let mut world = World::prepare().await;
    world.config.workers = 1;
    world.start_edge().await;
    let session = world.session(ALICE, 1);
    // The upstream answers at once and never reads the body; this client never finishes it.
    let (head, _unfinished) =
        Call::half_an_upload(&world.host(1), "/airflow-webserver-1/echo", &session).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let next = world.get(1, "/").signed_in(&session).send();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(5), next)
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn over_https_cookies_and_origins_are_of_that_scheme() {
    let mut world = World::prepare().await;
    world.config.scheme = updraft_edge::Scheme::Https;
    world.start_edge().await;
    let session = world.session(ALICE, 1);
    let call = world
        .get(1, "/")
        .with("cookie", &format!("__Host-updraft_edge={session}"));
    assert_eq!(
        call.clone().send().await.json()["headers"]["x-forwarded-proto"],
        "https"
    );
    let post = |scheme: &str| {
        let origin = format!("{scheme}://{}", world.host(1));
        call.clone().method("POST").with("origin", &origin).send()
    };
    assert_eq!(post("https").await.status, StatusCode::OK);
    assert_eq!(post("http").await.status, StatusCode::FORBIDDEN);
    // A cookie without the prefix could have been set by another host.
    let sign_in = world.get(1, "/").signed_in(&session).send().await;
    assert_eq!(sign_in.status, StatusCode::SEE_OTHER);
    assert!(
        sign_in
            .header("set-cookie")
            .unwrap()
            .starts_with("__Host-updraft_binding=")
    );
    assert!(sign_in.header("set-cookie").unwrap().contains("; Secure"));
}
