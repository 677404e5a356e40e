//! Clusters from their making to their deletion, as far as asking goes.

use serde_json::{Value, json};
use updraft_app::Quota;
use updraft_model::{ClusterRole, TenantId, TenantRole};

use crate::support::{Answer, Someone, World, request};

async fn world() -> (World, TenantId, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, tenant, owner)
}

fn generation(cluster: &Value) -> i64 {
    cluster["generation"].as_i64().unwrap()
}

async fn patch(world: &World, who: &Someone, path: &str, if_match: &str, body: Value) -> Answer {
    world
        .send(
            request("PATCH", path)
                .bearer(who)
                .header("if-match", if_match)
                .json(&body),
        )
        .await
}

#[tokio::test]
async fn a_name_makes_a_cluster_that_starts() {
    let (world, _, owner) = world().await;
    let answer = world.post(&owner, "/clusters", json!({"name": "demo"})).await;
    let made = answer.must_be(202);
    let cluster = &made["cluster"];
    assert_eq!(cluster["name"], "demo");
    assert_eq!(cluster["power"], "running");
    assert_eq!(cluster["role"], "admin");
    assert_eq!(cluster["nodes_wanted"], 3);
    assert_eq!(
        cluster["airflow_url"],
        "http://127.0.0.1:7701/airflow-webserver-1/"
    );
    assert_eq!(cluster["dag_location"], "s3://updraft-cluster-1/dags/");
    assert_eq!(cluster["spec"]["runtime"], "airflow-3.3.2");
    assert_eq!(made["operation"]["kind"], "create");
    assert_eq!(made["operation"]["state"], "running");
    assert_eq!(made["operation"]["requested_by"], owner.email);
    assert_eq!(cluster["operation"], made["operation"]["id"]);
    assert_eq!(answer.headers["etag"], "\"1\"");
    let location = answer.headers["location"]
        .to_str()
        .unwrap()
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    assert_eq!(world.get(&owner, &location).await.must_be(200), made["operation"]);

    let shown = world.get(&owner, "/clusters/1").await;
    assert_eq!(&shown.must_be(200), cluster);
    assert_eq!(shown.headers["etag"], "\"1\"");
}

#[tokio::test]
async fn a_name_is_taken_until_its_cluster_is_gone() {
    let (world, _, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let again = world.post(&owner, "/clusters", json!({"name": "demo"})).await;
    assert_eq!(again.problem(409), "cluster-name-taken");
}

#[tokio::test]
async fn a_change_needs_the_generation_it_was_made_from() {
    let (world, _, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let path = "/clusters/1";
    let without = world
        .send(request("PATCH", path).bearer(&owner).json(&json!({"workers": 2})))
        .await;
    assert_eq!(without.problem(428), "precondition-required");

    let changed = patch(&world, &owner, path, "\"1\"", json!({"workers": 2})).await;
    assert_eq!(changed.must_be(202)["cluster"]["spec"]["workers"], 2);
    assert_eq!(changed.headers["etag"], "\"2\"");
    assert_eq!(changed.json()["operation"]["generation"], 2);

    for stale in ["\"1\"", "*", "\"x\"", "2"] {
        let refused = patch(&world, &owner, path, stale, json!({"workers": 3})).await;
        assert_eq!(refused.problem(412), "generation-mismatch", "{stale}");
    }
    let bad = patch(
        &world,
        &owner,
        path,
        "\"2\"",
        json!({"config": {"core.executor": "x"}}),
    )
    .await;
    assert_eq!(bad.refused_field(422), "config.core.executor");
    assert_eq!(generation(&world.get(&owner, path).await.must_be(200)), 2);
}

#[tokio::test]
async fn of_two_changes_at_once_one_wins() {
    let (world, _, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let change = |workers: u32| {
        patch(
            &world,
            &owner,
            "/clusters/1",
            "\"1\"",
            json!({"workers": workers}),
        )
    };
    let (a, b, c) = tokio::join!(change(2), change(3), change(4));
    let mut statuses = [a, b, c].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 412, 412]);
}

#[tokio::test]
async fn a_newer_change_supersedes_the_running_operation() {
    let (world, _, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let stop = world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    assert_eq!(
        (stop["cluster"]["power"].as_str(), generation(&stop["cluster"])),
        (Some("stopped"), 2)
    );
    let operations = world.get(&owner, "/clusters/1/operations").await.must_be(200);
    let states: Vec<_> = operations["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["state"].clone())
        .collect();
    assert_eq!(states, ["running", "superseded"]);
}

#[tokio::test]
async fn the_same_ask_twice_is_one_operation() {
    let (world, _, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let started = world
        .post(&owner, "/clusters/1/start", json!({}))
        .await
        .must_be(202);
    assert_eq!(
        started["operation"]["kind"], "create",
        "it is being created and started already"
    );
    let stop = world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    let again = world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    assert_eq!(stop["operation"]["id"], again["operation"]["id"]);
    assert_eq!(stop["cluster"]["generation"], again["cluster"]["generation"]);
    let restart = |_| world.post(&owner, "/clusters/1/start", json!({}));
    let (a, b) = tokio::join!(restart(1), restart(2));
    assert_eq!(
        a.must_be(202)["operation"]["id"],
        b.must_be(202)["operation"]["id"]
    );
}

#[tokio::test]
async fn what_is_stopped_or_going_takes_only_what_makes_sense() {
    let (world, _, owner) = world().await;
    world
        .post(&owner, "/clusters", json!({"name": "demo", "start": false}))
        .await
        .must_be(202);
    let ask = |path: &'static str| world.post(&owner, path, json!({}));
    assert_eq!(ask("/clusters/1/restart").await.problem(409), "cluster-stopped");
    assert_eq!(
        ask("/clusters/1/services/worker/restart").await.problem(409),
        "cluster-stopped"
    );
    let turned = ask("/clusters/1/rotate-keys").await.must_be(202);
    assert_eq!(turned["cluster"]["power"], "stopped");
    let again = ask("/clusters/1/rotate-keys").await.must_be(202);
    assert_eq!(again["operation"]["id"], turned["operation"]["id"]);
    let deleted = world.delete(&owner, "/clusters/1").await.must_be(202);
    assert_eq!(deleted["cluster"]["power"], "deleted");
    assert_eq!(
        ask("/clusters/1/rotate-keys").await.problem(409),
        "cluster-deleting"
    );
    assert_eq!(ask("/clusters/1/start").await.problem(409), "cluster-deleting");
    assert_eq!(
        ask("/clusters/1/services/worker/restart").await.problem(409),
        "cluster-deleting"
    );
    let again = world.delete(&owner, "/clusters/1").await.must_be(202);
    assert_eq!(again["operation"]["id"], deleted["operation"]["id"]);
}

#[tokio::test]
async fn a_tenant_stays_within_its_quota() {
    let world = World::new().await;
    let tenant = world
        .tenant_with_quota(
            "small",
            Quota {
                max_clusters: 2,
                max_nodes: 6,
            },
        )
        .await;
    let owner = world.owner(tenant).await;
    world.cluster(&owner, "one").await;
    let large = world
        .post(&owner, "/clusters", json!({"name": "two", "workers": 2}))
        .await;
    assert_eq!(large.problem(403), "quota-exceeded");
    world
        .post(
            &owner,
            "/clusters",
            json!({"name": "two", "workers": 2, "start": false}),
        )
        .await
        .must_be(202);
    let third = world
        .post(&owner, "/clusters", json!({"name": "three", "start": false}))
        .await;
    assert_eq!(third.problem(403), "quota-exceeded");
    // What stands still needs no nodes, but starting it does.
    let start = || world.post(&owner, "/clusters/2/start", json!({}));
    assert_eq!(start().await.problem(403), "quota-exceeded");
    assert_eq!(
        patch(&world, &owner, "/clusters/1", "\"1\"", json!({"workers": 5}))
            .await
            .problem(403),
        "quota-exceeded"
    );
    world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    start().await.must_be(202);
}

#[tokio::test]
async fn quotas_hold_against_requests_at_once() {
    let world = World::new().await;
    let tenant = world
        .tenant_with_quota(
            "small",
            Quota {
                max_clusters: 1,
                max_nodes: 100,
            },
        )
        .await;
    let owner = world.owner(tenant).await;
    let make = |name: &'static str| world.post(&owner, "/clusters", json!({"name": name}));
    let (a, b, c, d) = tokio::join!(make("a"), make("b"), make("c"), make("d"));
    let made = [a, b, c, d].iter().filter(|answer| answer.status == 202).count();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn service_wishes_are_kept_and_taken_back_by_a_restart() {
    let (world, _, owner) = world().await;
    let id = world.cluster(&owner, "demo").await;
    let asked = world
        .post(&owner, "/clusters/1/services/worker/stop", json!({}))
        .await
        .must_be(202);
    assert_eq!(asked["operation"]["kind"], "service");
    assert_eq!(asked["cluster"]["generation"], 1, "the spec is as it was");
    let wish = async || {
        let mut tx = world.tx().await;
        let found = updraft_store::clusters::find(&mut tx, owner.tenant, owner.user, id)
            .await
            .unwrap()
            .unwrap();
        let node = updraft_model::NodeId(uuid::Uuid::nil());
        found.service_wishes.on(updraft_model::ServiceName::Worker, node)
    };
    assert!(!wish().await.enabled);
    world
        .post(&owner, "/clusters/1/services/worker/restart", json!({}))
        .await
        .must_be(202);
    assert_eq!((wish().await.enabled, wish().await.restart_nonce), (true, 1));
    world
        .post(&owner, "/clusters/1/services/worker/stop", json!({}))
        .await
        .must_be(202);
    world
        .post(&owner, "/clusters/1/restart", json!({}))
        .await
        .must_be(202);
    assert!(wish().await.enabled);
    let unknown = format!("/clusters/1/services/worker/stop?node={}", uuid::Uuid::new_v4());
    assert_eq!(
        world.post(&owner, &unknown, json!({})).await.problem(404),
        "node-not-found"
    );
}

#[tokio::test]
async fn lists_come_in_pages_that_hold_everything_once() {
    let (world, tenant, owner) = world().await;
    for name in ["a", "b", "c", "d", "e"] {
        world
            .post(&owner, "/clusters", json!({"name": name, "start": false}))
            .await
            .must_be(202);
    }
    let mut names = Vec::new();
    let mut path = "/clusters?limit=2".to_owned();
    loop {
        let page = world.get(&owner, &path).await.must_be(200);
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/clusters?limit=2&cursor={next}");
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);

    let member = world.someone(tenant, TenantRole::Member).await;
    world
        .grant(&member, updraft_model::ClusterId(3), ClusterRole::User)
        .await;
    let seen = world.get(&member, "/clusters").await.must_be(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (
            seen["items"][0]["name"].as_str(),
            seen["items"][0]["role"].as_str()
        ),
        (Some("c"), Some("user"))
    );
}

#[tokio::test]
async fn the_log_says_who_did_what() {
    let (world, _, owner) = world().await;
    world.cluster(&owner, "demo").await;
    world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    let newest = world.get(&owner, "/clusters/1/events?limit=1").await.must_be(200);
    assert_eq!(newest["items"][0]["kind"], "stop_requested");
    assert_eq!(
        newest["items"][0]["message"],
        format!("{} stopped the cluster", owner.email)
    );
    let path = format!("/clusters/1/events?before={}", newest["next"].as_str().unwrap());
    let earlier = world.get(&owner, &path).await.must_be(200);
    assert_eq!(earlier["items"][0]["kind"], "create_requested");
    let after = format!("/clusters/1/events?after={}", earlier["items"][0]["id"]);
    assert_eq!(
        world.get(&owner, &after).await.must_be(200)["items"][0]["kind"],
        "stop_requested"
    );
}

#[tokio::test]
async fn a_runtimes_options_are_listed_with_who_sets_them() {
    let (world, _, owner) = world().await;
    let options = world
        .get(&owner, "/runtimes/airflow-3.3.2/config-options")
        .await
        .must_be(200);
    let options = options["items"].as_array().unwrap();
    assert!(options.len() > 250);
    let named = |key: &str| options.iter().find(|option| option["key"] == key).unwrap();
    assert_eq!(named("core.executor")["managed"], true);
    assert_eq!(named("core.parallelism")["managed"], false);
    assert_eq!(
        world.get(&owner, "/runtimes/x/config-options").await.problem(404),
        "runtime-not-found"
    );
}

#[tokio::test]
async fn queues_have_workers_of_their_own_and_count_towards_the_quota() {
    let (world, _, owner) = world().await;
    let queue =
        |name: &str, workers: u32| json!({"name": name, "concurrency": 1, "min": workers, "max": workers});
    let new = json!({"name": "demo", "workers": 2, "worker_queues": [queue("heavy", 3)]});
    let made = world.post(&owner, "/clusters", new).await.must_be(202);
    assert_eq!(made["cluster"]["nodes_wanted"], 7);
    assert_eq!(made["cluster"]["spec"]["worker_queues"][0]["name"], "heavy");

    let queues = json!({"worker_queues": [queue("default", 4)]});
    let changed = patch(&world, &owner, "/clusters/1", "\"1\"", queues)
        .await
        .must_be(202);
    let spec = &changed["cluster"]["spec"];
    assert_eq!(
        (&spec["workers"], &spec["worker_concurrency"]),
        (&json!(4), &json!(1))
    );
    let twice = patch(&world, &owner, "/clusters/1", "\"2\"", json!({"workers": 2})).await;
    assert!(twice.must_be(422).to_string().contains("worker_queues"));

    let on_a_machine = json!({"name": "heavy", "instance_type": "r7i.xlarge", "min": 1, "max": 1});
    for (queue, field) in [
        (on_a_machine, "worker_queues[0].instance_type"),
        (queue("he avy", 1), "worker_queues"),
        (queue("heavy", 21), "worker_queues[0].max"),
    ] {
        let refused = patch(
            &world,
            &owner,
            "/clusters/1",
            "\"2\"",
            json!({"worker_queues": [queue]}),
        )
        .await;
        assert!(refused.must_be(422).to_string().contains(field), "{field}");
    }
}

#[tokio::test]
async fn a_cluster_keeps_the_broker_that_it_was_made_with() {
    let (world, _, owner) = world().await;
    let made = world
        .post(&owner, "/clusters", json!({"name": "demo", "broker": "rabbitmq"}))
        .await;
    assert_eq!(made.must_be(202)["cluster"]["spec"]["broker"], "rabbitmq");
    let other = patch(
        &world,
        &owner,
        "/clusters/1",
        "\"1\"",
        json!({"broker": "valkey"}),
    )
    .await;
    other.must_be(422);
    assert!(other.text.contains("make another cluster"), "{}", other.text);
    let same = patch(
        &world,
        &owner,
        "/clusters/1",
        "\"1\"",
        json!({"broker": "rabbitmq"}),
    )
    .await;
    same.must_be(202);
    let unknown = world
        .post(&owner, "/clusters", json!({"name": "other", "broker": "kafka"}))
        .await;
    assert!(unknown.status.is_client_error(), "{}", unknown.text);
    let silent = world.post(&owner, "/clusters", json!({"name": "other"})).await;
    let silent = silent.must_be(202);
    assert!(
        silent["cluster"]["spec"].get("broker").is_none(),
        "as every release reads it"
    );
}
