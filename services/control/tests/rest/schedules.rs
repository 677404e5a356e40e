//! Clusters that start and stop by themselves.

use serde_json::{Value, json};

use crate::support::{Someone, World, request};

/// A cluster of this schedule and power, and who has it.
async fn world(schedule: Value, start: bool) -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let new = json!({"name": "demo", "start": start, "schedule": schedule});
    world.post(&owner, "/clusters", new).await.must_be(202);
    (world, owner)
}

/// As if nobody had looked since so many minutes.
async fn away(world: &World, minutes: i32) {
    let mut tx = world.tx().await;
    sqlx::query(
        "update cluster_schedules set looked_at = now() - make_interval(mins => $1),
                next_at = now() - make_interval(mins => $1) + interval '1 second'",
    )
    .bind(minutes)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

/// Two controls look until nothing is due.
async fn look(world: &World) {
    let look = || async { while world.app.follow_schedule().await.unwrap() {} };
    tokio::join!(look(), look());
}

async fn cluster(world: &World, owner: &Someone) -> Value {
    world.get(owner, "/clusters/1").await.must_be(200)
}

/// Kind and requester of each operation, the newest first.
async fn operations(world: &World, owner: &Someone) -> Vec<(String, String)> {
    let page = world.get(owner, "/clusters/1/operations").await.must_be(200);
    let word = |operation: &Value, field: &str| operation[field].as_str().unwrap_or_default().to_owned();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|operation| (word(operation, "kind"), word(operation, "requested_by")))
        .collect()
}

#[tokio::test]
async fn a_time_that_has_come_is_acted_upon_once_whoever_looks() {
    let (world, owner) = world(json!({"start": "* * * * *"}), false).await;
    look(&world).await;
    assert_eq!(
        cluster(&world, &owner).await["power"],
        "stopped",
        "before its time"
    );

    away(&world, 5).await;
    look(&world).await;
    assert_eq!(cluster(&world, &owner).await["power"], "running");
    let by_schedule = ("start".to_owned(), "Updraft: schedule".to_owned());
    assert_eq!(operations(&world, &owner).await[0], by_schedule);

    // It runs: there is nothing more to ask for.
    let asked = operations(&world, &owner).await.len();
    away(&world, 5).await;
    look(&world).await;
    assert_eq!(operations(&world, &owner).await.len(), asked);
}

#[tokio::test]
async fn of_what_was_missed_only_the_newest_counts() {
    // A stop each minute, and a start at midnight of the first of January.
    let (world, owner) = world(json!({"start": "0 0 1 1 *", "stop": "* * * * *"}), true).await;
    away(&world, 2 * 366 * 24 * 60).await;
    look(&world).await;
    assert_eq!(cluster(&world, &owner).await["power"], "stopped");
    let kinds: Vec<_> = operations(&world, &owner)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, ["stop", "create"]);
    let lines = world.get(&owner, "/audit?action=cluster.stop").await.must_be(200);
    assert_eq!(lines["items"][0]["actor"]["name"], "Updraft", "{lines}");
}

#[tokio::test]
async fn a_schedule_says_what_it_does_next_and_another_one_counts_from_now_on() {
    let (world, owner) = world(json!({"stop": "0 20 * * *", "time_zone": "Europe/Berlin"}), true).await;
    let shown = cluster(&world, &owner).await;
    assert!(
        shown["upcoming"]["stop"].is_string() && shown["upcoming"]["start"].is_null(),
        "{shown}"
    );

    away(&world, 3 * 24 * 60).await;
    let change = |schedule: Value, generation: &str| {
        let request = request("PATCH", "/clusters/1")
            .bearer(&owner)
            .header("if-match", generation);
        request.json(&json!({"schedule": schedule}))
    };
    let later = json!({"stop": "0 21 * * *", "time_zone": "Europe/Berlin"});
    world.send(change(later, "\"1\"")).await.must_be(202);
    look(&world).await;
    assert_eq!(
        cluster(&world, &owner).await["power"],
        "running",
        "a change made up for the past"
    );

    world.send(change(json!({}), "\"2\"")).await.must_be(202);
    assert!(cluster(&world, &owner).await.get("upcoming").is_none());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let (world, owner) = world(json!({}), false).await;
    for (schedule, field) in [
        (json!({"start": "every day"}), "schedule.start"),
        (json!({"stop": "0 0 30 2 *"}), "schedule.stop"),
        (
            json!({"stop": "0 20 * * *", "time_zone": "Mars"}),
            "schedule.time_zone",
        ),
    ] {
        let answer = world
            .post(&owner, "/clusters", json!({"name": "two", "schedule": schedule}))
            .await;
        let body = answer.must_be(422);
        assert!(body.to_string().contains(field), "{body}");
    }
}

#[tokio::test]
async fn a_start_beyond_the_quota_is_told_and_not_done() {
    let (world, owner) = world(json!({"start": "* * * * *"}), false).await;
    let mut tx = world.tx().await;
    sqlx::query("update tenants set max_nodes = 1")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    away(&world, 5).await;
    look(&world).await;
    assert_eq!(cluster(&world, &owner).await["power"], "stopped");
    let events = world.get(&owner, "/clusters/1/events").await.must_be(200);
    assert!(
        events.to_string().contains("did not start the cluster"),
        "{events}"
    );
}
