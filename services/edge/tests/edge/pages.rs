use http::StatusCode;
use updraft_api::edge::RouteState;
use updraft_model::Failure;

use crate::harness::{ALICE, Call, World};

#[tokio::test]
async fn every_state_has_a_page_for_people_and_a_problem_for_programs() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    let failed = Failure {
        code: "service_cannot_start".into(),
        message: "The <api-server> ended at once.".into(),
        remedy: "Read its log.".into(),
    };
    let states = [
        (
            RouteState::Starting {
                waiting_for: Some("worker 2 of 2 to report".into()),
            },
            "cluster-starting",
            "worker 2 of 2 to report",
        ),
        (RouteState::Stopped, "cluster-stopped", "cluster-1 is stopped"),
        (RouteState::Stopping, "cluster-stopping", "cluster-1 is stopping"),
        (
            RouteState::Failed { reason: failed },
            "cluster-failed",
            "The &lt;api-server&gt; ended at once.",
        ),
    ];
    for (state, kind, words) in states {
        world.publish_state(1, state).await;
        let page = world.get(1, "/dags").signed_in(&session).send().await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{kind}");
        assert!(page.text().contains(words), "{}", page.text());
        assert!(
            page.header("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'")
        );
        assert_eq!(page.header("cache-control"), Some("no-store"));

        let problem = world
            .get(1, "/api/v2/dags")
            .with("accept", "application/json")
            .signed_in(&session)
            .send()
            .await;
        assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE, "{kind}");
        assert_eq!(problem.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem.json()["type"], format!("urn:updraft:problem:{kind}"));
        assert_eq!(
            problem.json()["request_id"],
            problem.header("x-request-id").unwrap()
        );
    }
}

#[tokio::test]
async fn a_starting_cluster_says_when_to_ask_again() {
    let world = World::start().await;
    world
        .publish_state(1, RouteState::Starting { waiting_for: None })
        .await;
    let page = world.get(1, "/").signed_in(&world.session(ALICE, 1)).send().await;
    assert_eq!(page.header("retry-after"), Some("2"));
    assert!(page.text().contains("<noscript><meta http-equiv=\"refresh\""));
}

#[tokio::test]
async fn strangers_see_no_state() {
    let world = World::start().await;
    world.publish_state(1, RouteState::Stopped).await;
    let answer = world.get(1, "/").send().await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_api_server_that_is_gone_has_a_page_of_its_own() {
    let world = World::start().await;
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    world
        .publish_state(
            1,
            RouteState::Up {
                upstream: nowhere.into(),
            },
        )
        .await;
    let answer = world.get(1, "/").signed_in(&world.session(ALICE, 1)).send().await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.text().contains("cluster-1 does not answer"));
}

#[tokio::test]
async fn an_api_server_that_never_answers_is_given_up() {
    let mut world = World::prepare().await;
    world.config.limits.answer = std::time::Duration::from_millis(50);
    world.start_edge().await;
    let answer = world
        .get(1, "/never")
        .with("accept", "*/*")
        .signed_in(&world.session(ALICE, 1))
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.json()["type"], "urn:updraft:problem:airflow-timeout");
    world.upstreams[0].given_up().await;
}

#[tokio::test]
async fn outside_the_prefixes_there_is_nothing() {
    let world = World::start().await;
    for path in [
        "/",
        "/dags",
        "/airflow-webserver-",
        "/airflow-webserver-01/",
        "/airflow-webserver-x/",
        "/_updraft/other",
        "/_updraft",
    ] {
        assert_eq!(
            Call::get(&world.host(1), path).send().await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn health_is_told_to_this_machine_alone() {
    let world = World::start().await;
    assert_eq!(
        Call::get(&world.host(1), "/_updraft/health").send().await.json()["status"],
        "ok"
    );
    let named = Call::get(&world.host(1), "/_updraft/health")
        .with("host", "evil.example")
        .send()
        .await;
    assert_eq!(named.status, StatusCode::NOT_FOUND);
}
