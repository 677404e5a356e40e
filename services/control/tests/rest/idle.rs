//! Clusters that stop when nobody needs them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use updraft_api::edge::{ClusterUse, ClusterUses};
use updraft_model::{ClusterId, NodeId, NodeRole};
use uuid::Uuid;

use crate::nodes::launched;
use crate::support::{Someone, World, request};

const HOURS: i64 = 3;

/// A cluster that stops after two idle hours; it runs, and nothing happened for three.
async fn unused(load: Value) -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let new = json!({"name": "demo", "stop_when_idle": "120m"});
    let made = world.post(&owner, "/clusters", new).await.must_be(202);
    assert_eq!(made["cluster"]["spec"]["stop_when_idle"], "2h");
    let report = json!({"node": NodeId(Uuid::now_v7()), "phase": "running", "load": load});
    launched(&world, ClusterId(1), NodeRole::Scheduler, Some(&report)).await;
    let_hours_pass(&world).await;
    (world, owner)
}

/// Three of them, in which nothing happened.
async fn let_hours_pass(world: &World) {
    for statement in [
        "update operations set state = 'succeeded', created_at = now() - interval '3 hours',
                finished_at = now() - interval '3 hours'",
        r#"update clusters set phase = '{"state": "running"}', updated_at = now() - interval '3 hours'"#,
        "update cluster_idleness set used_at = now() - interval '3 hours'",
        "update nodes set power = 'run'",
        "delete from edges",
        "delete from dag_versions",
    ] {
        sql(world, statement).await;
    }
}

fn ago(hours: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(hours)
}

fn quiet() -> Value {
    json!({"queues": [], "workers": [], "quiet_since": ago(HOURS)})
}

async fn sql(world: &World, statement: &'static str) {
    let mut tx = world.tx().await;
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Two controls look until nothing is due.
async fn look(world: &World) {
    sql(world, "update cluster_idleness set look_at = now()").await;
    let look = || async { while world.app.follow_idleness().await.unwrap() {} };
    tokio::join!(look(), look());
}

/// As if what people were told had come.
async fn let_it_come(world: &World) {
    sql(world, "update cluster_idleness set stop_at = now()").await;
}

async fn cluster(world: &World, owner: &Someone) -> Value {
    world.get(owner, "/clusters/1").await.must_be(200)
}

async fn told(world: &World, owner: &Someone, kind: &str) -> usize {
    let events = world.get(owner, "/clusters/1/events").await.must_be(200);
    let items = events["items"].as_array().unwrap().iter();
    items.filter(|event| event["kind"] == kind).count()
}

#[tokio::test]
async fn it_is_told_before_and_stopped_once_whoever_looks() {
    let (world, owner) = unused(quiet()).await;
    look(&world).await;
    let shown = cluster(&world, &owner).await;
    assert_eq!(shown["power"], "running", "before people were told");
    assert!(shown["upcoming"]["idle_stop"].is_string(), "{shown}");
    assert_eq!(told(&world, &owner, "idle_stop_announced").await, 1);
    look(&world).await;
    assert_eq!(told(&world, &owner, "idle_stop_announced").await, 1, "told twice");

    let_it_come(&world).await;
    look(&world).await;
    let shown = cluster(&world, &owner).await;
    assert_eq!(shown["power"], "stopped");
    assert!(shown["upcoming"].is_null(), "{shown}");
    let operations = world.get(&owner, "/clusters/1/operations").await.must_be(200);
    let asked = operations["items"].as_array().unwrap();
    assert_eq!(asked.len(), 2, "{operations}");
    assert_eq!(
        (asked[0]["kind"].as_str(), asked[0]["requested_by"].as_str()),
        (Some("stop"), Some("Updraft: idle"))
    );
    let lines = world.get(&owner, "/audit?action=cluster.stop").await.must_be(200);
    assert_eq!(lines["items"][0]["actor"]["name"], "Updraft", "{lines}");

    look(&world).await;
    assert_eq!(told(&world, &owner, "stop_requested").await, 1);
    world
        .post(&owner, "/clusters/1/start", json!({}))
        .await
        .must_be(202);
    look(&world).await;
    assert_eq!(
        cluster(&world, &owner).await["power"],
        "running",
        "a start is a change"
    );
}

#[tokio::test]
async fn whoever_uses_it_after_it_was_told_keeps_it_running() {
    let (world, owner) = unused(quiet()).await;
    look(&world).await;
    let_it_come(&world).await;
    let used = |cluster, at: DateTime<Utc>| ClusterUse {
        cluster: ClusterId(cluster),
        at: at.timestamp(),
    };
    // Of a time to come, of another cluster, of an old one: what edges say is taken for what it can be.
    let uses = vec![used(1, ago(-1000)), used(2, ago(0)), used(1, ago(5))];
    world.app.note_cluster_uses(ClusterUses { uses }).await.unwrap();
    look(&world).await;
    assert_eq!(cluster(&world, &owner).await["power"], "running");
    assert_eq!(told(&world, &owner, "idle_stop_withdrawn").await, 1);

    sql(
        &world,
        "update cluster_idleness set used_at = used_at - interval '2 hours'",
    )
    .await;
    look(&world).await;
    assert_eq!(
        told(&world, &owner, "idle_stop_announced").await,
        2,
        "it was used in a time to come"
    );
}

#[tokio::test]
async fn it_runs_on_while_something_runs_is_due_or_is_not_known() {
    let (world, owner) = unused(json!(null)).await;
    let soon = Utc::now() + TimeDelta::minutes(90);
    for (load, stops) in [
        (json!(null), false),
        (json!({"queues": [], "workers": []}), false),
        (
            json!({"queues": "all", "workers": [], "quiet_since": ago(HOURS)}),
            false,
        ),
        (
            json!({"queues": [], "workers": [], "quiet_since": ago(HOURS), "next_run_at": soon}),
            false,
        ),
        (
            json!({"queues": [], "workers": [], "quiet_since": "long ago"}),
            false,
        ),
        (quiet(), true),
    ] {
        let mut tx = world.tx().await;
        sqlx::query("update nodes set report = jsonb_set(report, '{load}', $1)")
            .bind(&load)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let_hours_pass(&world).await;
        look(&world).await;
        let shown = cluster(&world, &owner).await;
        assert_eq!(!shown["upcoming"].is_null(), stops, "{load}: {shown}");
    }
}

#[tokio::test]
async fn nobody_is_idle_while_an_edge_or_a_node_is_silent_or_something_changes() {
    let (world, owner) = unused(quiet()).await;
    for (before, silence) in [
        "insert into edges (id, seen_at) values (gen_random_uuid(), now() - interval '5 minutes')",
        r#"update clusters set phase = '{"state": "degraded", "reasons": ["scheduler-1 is silent"]}'"#,
        "update nodes set power = 'stop'",
        "update operations set state = 'running'",
        "update operations set finished_at = now()",
        "update clusters set updated_at = now()",
        "insert into dag_versions (cluster_id, digest, published_at, files, bytes, sources)
         values (1, 'd', now() + interval '1 year', 1, 1, '[]')",
    ]
    .into_iter()
    .enumerate()
    {
        let_hours_pass(&world).await;
        look(&world).await;
        let announced = told(&world, &owner, "idle_stop_announced").await;
        assert_eq!(announced, before + 1, "{silence}");
        let_it_come(&world).await;
        sql(&world, silence).await;
        look(&world).await;
        let shown = cluster(&world, &owner).await;
        assert_eq!(shown["power"], "running", "{silence}");
        let withdrawn = told(&world, &owner, "idle_stop_withdrawn").await;
        assert_eq!(withdrawn, before + 1, "{silence}");
    }
}

#[tokio::test]
async fn after_an_outage_it_is_told_anew() {
    let (world, owner) = unused(quiet()).await;
    look(&world).await;
    let_it_come(&world).await;
    sql(
        &world,
        "update cluster_idleness set looked_at = now() - interval '1 hour', stop_at = now() - interval '59 minutes'",
    )
    .await;
    look(&world).await;
    assert_eq!(cluster(&world, &owner).await["power"], "running");
    assert_eq!(told(&world, &owner, "idle_stop_announced").await, 2);
}

#[tokio::test]
async fn it_is_changed_ended_and_refused_by_its_field() {
    let (world, owner) = unused(quiet()).await;
    let change = async |idle: &str, generation: &str| {
        let request = request("PATCH", "/clusters/1")
            .bearer(&owner)
            .header("if-match", generation);
        world.send(request.json(&json!({"stop_when_idle": idle}))).await
    };
    for bad in ["soon", "5m", "31d", "2 h", ""] {
        let refused = change(bad, "\"1\"").await.must_be(422);
        assert!(refused.to_string().contains("10m to 30d"), "{refused}");
    }
    change("1d", "\"1\"").await.must_be(202);
    assert_eq!(cluster(&world, &owner).await["spec"]["stop_when_idle"], "1d");
    change("never", "\"2\"").await.must_be(202);
    assert!(
        cluster(&world, &owner).await["spec"]
            .get("stop_when_idle")
            .is_none()
    );
    look(&world).await;
    assert_eq!(told(&world, &owner, "idle_stop_announced").await, 0);
}
