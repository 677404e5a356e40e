//! HTTP itself: what is refused, how, and what every answer carries.

use serde_json::json;
use updraft_model::TenantId;

use crate::support::{HOST, ORIGIN, Someone, World, request};

async fn world() -> (World, TenantId, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, tenant, owner)
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems() {
    let (world, _, owner) = world().await;
    for path in [
        "/nothing",
        "/clusters/not-a-number",
        "/operations/7",
        "/clusters/1/services/nosuch/start",
    ] {
        let method = if path.ends_with("start") { "POST" } else { "GET" };
        let answer = world.send(request(method, path).bearer(&owner).empty()).await;
        assert_eq!(answer.problem(404), "not-found", "{path}");
    }
    let answer = world
        .send(request("PUT", "/clusters").bearer(&owner).empty())
        .await;
    assert_eq!(answer.problem(405), "method-not-allowed");
    assert!(answer.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_by_what_is_wrong() {
    let (world, _, owner) = world().await;
    let asked = || request("POST", "/clusters").bearer(&owner);
    assert_eq!(
        world.send(asked().text("text/plain", "{}")).await.problem(415),
        "unsupported-media-type"
    );
    assert_eq!(
        world.send(asked().empty()).await.problem(415),
        "unsupported-media-type"
    );
    assert_eq!(
        world
            .send(asked().text("application/json", "{"))
            .await
            .problem(400),
        "malformed-json"
    );
    assert_eq!(
        world
            .send(asked().text("application/json", "{} x"))
            .await
            .problem(422),
        "invalid-field"
    );
    let large = json!({"name": "x".repeat(300 * 1024)});
    assert_eq!(
        world.send(asked().json(&large)).await.problem(413),
        "body-too-large"
    );
}

#[tokio::test]
async fn wrong_fields_are_refused_by_name() {
    let (world, _, owner) = world().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "demo", "wrokers": 1}), "wrokers"),
        (json!({"name": "Demo"}), "name"),
        (json!({"name": "demo", "workers": "two"}), "workers"),
        (json!({"name": "demo", "workers": -1}), "workers"),
        (json!({"name": "demo", "workers": 21}), "workers"),
        (
            json!({"name": "demo", "worker_concurrency": 0}),
            "worker_concurrency",
        ),
        (
            json!({"name": "demo", "worker_concurrency": 65}),
            "worker_concurrency",
        ),
        (json!({"name": "demo", "runtime": "airflow-0.1"}), "runtime"),
        (
            json!({"name": "demo", "config": {"core.nosuch": "1"}}),
            "config.core.nosuch",
        ),
        (
            json!({"name": "demo", "config": {"core.executor": "x"}}),
            "config.core.executor",
        ),
        (
            json!({"name": "demo", "config": {"core.parallelism": 4}}),
            "config.core.parallelism",
        ),
        (
            json!({"name": "demo", "dag_sources": [{"source": {"kind": "cluster_bucket", "prefix": "/x"}}]}),
            "dag_sources[0].source.prefix",
        ),
    ] {
        assert_eq!(
            world
                .post(&owner, "/clusters", body.clone())
                .await
                .refused_field(422),
            field,
            "{body}"
        );
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("cursor=zz", "cursor"),
        ("curser=1", "curser"),
    ] {
        assert_eq!(
            world
                .get(&owner, &format!("/clusters?{query}"))
                .await
                .refused_field(422),
            field
        );
    }
}

#[tokio::test]
async fn only_known_hosts_are_answered() {
    let (world, _, _) = world().await;
    for host in ["evil.example", "127.0.0.1:7700", "localhost:7701", "localhost"] {
        let mut asked = request("GET", "/health").empty();
        asked.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(world.send(asked).await.problem(421), "unknown-host", "{host}");
    }
    let mut twice = request("GET", "/health").empty();
    twice
        .headers_mut()
        .append("host", "evil.example".parse().unwrap());
    assert_eq!(world.send(twice).await.problem(421), "unknown-host");
    let mut none = request("GET", "/health").empty();
    none.headers_mut().remove("host");
    assert_eq!(world.send(none).await.problem(421), "unknown-host");
    world.send(request("GET", "/health").empty()).await.must_be(200);
    assert_eq!(HOST, "localhost:7700");
}

#[tokio::test]
async fn a_cookie_changes_nothing_unless_one_of_our_pages_sent_it() {
    let (world, _, owner) = world().await;
    let made = |name: &str| json!({"name": name, "start": false});
    let asked = || request("POST", "/clusters").cookie(&owner);
    for refused in [
        asked(),
        asked().header("origin", "http://localhost:7701"),
        asked().header("origin", "null"),
        asked().header("sec-fetch-site", "same-site"),
        asked().header("sec-fetch-site", "none"),
        asked()
            .header("origin", ORIGIN)
            .header("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(
            world.send(refused.json(&made("nope"))).await.problem(403),
            "cross-site"
        );
    }
    world
        .send(asked().header("origin", ORIGIN).json(&made("one")))
        .await
        .must_be(202);
    world
        .send(asked().header("sec-fetch-site", "same-origin").json(&made("two")))
        .await
        .must_be(202);
    let listed = world.get(&owner, "/clusters").await.must_be(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_answer_is_marked_and_guarded() {
    let (world, _, owner) = world().await;
    for answer in [
        world.get(&owner, "/me").await,
        world.get(&owner, "/nothing").await,
    ] {
        assert!(!answer.headers["x-request-id"].is_empty());
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(
            answer.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let unsigned = world.send(request("GET", "/me").empty()).await;
    assert_eq!(unsigned.problem(401), "not-signed-in");
    assert!(unsigned.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn health_is_for_everyone() {
    let (world, _, _) = world().await;
    let health = world.send(request("GET", "/health").empty()).await.must_be(200);
    assert_eq!(
        (health["status"].as_str(), health["database"].as_bool()),
        (Some("ok"), Some(true))
    );
}
