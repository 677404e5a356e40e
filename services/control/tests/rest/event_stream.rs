//! `GET /events`: what happens, as it happens, to those who may know.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use updraft_model::{ClusterRole, TenantRole};

use crate::support::{Someone, World, request};

struct Stream {
    body: BodyDataStream,
    buffer: String,
}

impl Stream {
    async fn open(world: &World, request: Request<Body>) -> Self {
        let response = world.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self {
            body: response.into_body().into_data_stream(),
            buffer: String::new(),
        };
        assert!(stream.block().await.unwrap().contains(": open"));
        stream
    }

    async fn of(world: &World, who: &Someone, query: &str) -> Self {
        Self::open(
            world,
            request("GET", &format!("/events{query}")).bearer(who).empty(),
        )
        .await
    }

    /// The next block; `None` when the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let block = block.to_owned();
                self.buffer = rest.to_owned();
                return Some(block);
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
            let chunk = next.expect("the stream stays silent")?.unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its id line and its data.
    async fn event(&mut self) -> Option<(i64, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
            };
            if let Some(data) = field("data: ") {
                let id = field("id: ").unwrap().parse().unwrap();
                let data: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(data["id"], id);
                return Some((id, data));
            }
        }
    }

    async fn kinds(&mut self, count: usize) -> Vec<String> {
        let mut kinds = Vec::new();
        for _ in 0..count {
            kinds.push(self.event().await.unwrap().1["kind"].as_str().unwrap().to_owned());
        }
        kinds
    }
}

async fn world() -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, owner)
}

#[tokio::test]
async fn events_arrive_as_they_happen() {
    let (world, owner) = world().await;
    let mut stream = Stream::of(&world, &owner, "").await;
    world.cluster(&owner, "demo").await;
    world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    assert_eq!(stream.kinds(2).await, ["create_requested", "stop_requested"]);
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_that_was_seen() {
    let (world, owner) = world().await;
    let mut stream = Stream::of(&world, &owner, "").await;
    world.cluster(&owner, "demo").await;
    let (seen, _) = stream.event().await.unwrap();
    drop(stream);
    for verb in ["stop", "start", "restart"] {
        world
            .post(&owner, &format!("/clusters/1/{verb}"), json!({}))
            .await
            .must_be(202);
    }
    let resumed = request("GET", "/events")
        .bearer(&owner)
        .header("last-event-id", &seen.to_string())
        .empty();
    let mut stream = Stream::open(&world, resumed).await;
    assert_eq!(
        stream.kinds(3).await,
        ["stop_requested", "start_requested", "restart_requested"]
    );
    let bad = request("GET", "/events")
        .bearer(&owner)
        .header("last-event-id", "x")
        .empty();
    assert_eq!(world.send(bad).await.refused_field(422), "Last-Event-ID");
}

#[tokio::test]
async fn an_event_that_commits_late_is_not_missed() {
    let (world, owner) = world().await;
    let id = world.cluster(&owner, "demo").await;
    let mut stream = Stream::of(&world, &owner, "").await;
    let mut slow = world.tx().await;
    updraft_store::event_log::append(&mut slow, owner.tenant, Some(id), "slow", "began first")
        .await
        .unwrap();
    let mut fast = world.tx().await;
    updraft_store::event_log::append(&mut fast, owner.tenant, Some(id), "fast", "ended first")
        .await
        .unwrap();
    fast.commit().await.unwrap();
    assert_eq!(stream.kinds(1).await, ["fast"]);
    slow.commit().await.unwrap();
    assert_eq!(stream.kinds(1).await, ["slow"]);
}

#[tokio::test]
async fn a_stream_shows_only_what_its_person_may_see() {
    let (world, owner) = world().await;
    let stranger = world.owner(world.tenant("other").await).await;
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    let mine = world.cluster(&owner, "granted").await;
    world.cluster(&owner, "hidden").await;
    world.grant(&member, mine, ClusterRole::User).await;
    let from_start = |who: &Someone| {
        request("GET", "/events")
            .bearer(who)
            .header("last-event-id", "0")
            .empty()
    };
    let mut members = Stream::open(&world, from_start(&member)).await;
    let mut strangers = Stream::open(&world, from_start(&stranger)).await;

    world
        .post(&owner, "/clusters/2/stop", json!({}))
        .await
        .must_be(202);
    world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    world.cluster(&stranger, "granted").await;
    for _ in 0..2 {
        assert_eq!(members.event().await.unwrap().1["cluster"], mine.0);
    }
    let (_, own) = strangers.event().await.unwrap();
    assert_eq!(
        (own["cluster"].as_i64(), own["kind"].as_str()),
        (Some(3), Some("create_requested"))
    );
}

#[tokio::test]
async fn one_clusters_stream_leaves_out_the_others() {
    let (world, owner) = world().await;
    world.cluster(&owner, "one").await;
    world.cluster(&owner, "two").await;
    let mut stream = Stream::of(&world, &owner, "?cluster=2").await;
    world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    world
        .post(&owner, "/clusters/2/stop", json!({}))
        .await
        .must_be(202);
    assert_eq!(stream.event().await.unwrap().1["cluster"], 2);
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let (world, owner) = world().await;
    let mut stream = Stream::of(&world, &owner, "").await;
    world.delete(&owner, "/sessions/current").await.must_be(204);
    assert!(stream.event().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_when_the_role_is_taken_away() {
    let (world, owner) = world().await;
    let id = world.cluster(&owner, "demo").await;
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&member, id, ClusterRole::User).await;
    let mut stream = Stream::of(&world, &member, "?cluster=1").await;
    world
        .delete(&owner, &format!("/clusters/1/grants/{}", member.user))
        .await
        .must_be(204);
    assert!(stream.event().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_when_the_group_that_opened_it_is_taken_away() {
    let (world, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let rule = json!({"who": {"group": "data"}, "role": "user", "target": {"cluster": 1}});
    world.post(&owner, "/access-rules", rule).await.must_be(201);
    let member = world.someone_in(owner.tenant, &["data"]).await;
    let mut stream = Stream::of(&world, &member, "?cluster=1").await;
    world
        .post(&owner, "/clusters/1/stop", json!({}))
        .await
        .must_be(202);
    assert_eq!(stream.kinds(1).await, ["stop_requested"]);
    world.now_in(&member, &["another"]).await;
    assert!(stream.event().await.is_none());
}

#[tokio::test]
async fn a_stream_over_all_clusters_leaves_out_one_from_the_moment_its_rule_is_gone() {
    let (world, owner) = world().await;
    let (kept, lost) = (
        world.cluster(&owner, "kept").await,
        world.cluster(&owner, "lost").await,
    );
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&member, kept, ClusterRole::User).await;
    let rule = json!({"who": "everyone", "role": "user", "target": {"cluster": lost.0}});
    let rule = world.post(&owner, "/access-rules", rule).await.must_be(201);
    let mut stream = Stream::of(&world, &member, "").await;
    let stop = async |cluster| {
        let path = format!("/clusters/{cluster}/stop");
        world.post(&owner, &path, json!({})).await.must_be(202);
    };
    stop(lost).await;
    assert_eq!(stream.event().await.unwrap().1["cluster"], lost.0);
    let path = format!("/access-rules/{}", rule["id"].as_str().unwrap());
    world.delete(&owner, &path).await.must_be(204);
    stop(lost).await;
    stop(kept).await;
    assert_eq!(stream.event().await.unwrap().1["cluster"], kept.0);
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_is_not_sent_when_the_right_to_it_is_gone() {
    let (world, owner) = world().await;
    let id = world.cluster(&owner, "demo").await;
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&member, id, ClusterRole::User).await;
    let mut stream = Stream::of(&world, &member, "?cluster=1").await;
    for verb in ["stop", "start", "stop"] {
        world
            .post(&owner, &format!("/clusters/1/{verb}"), json!({}))
            .await
            .must_be(202);
    }
    assert_eq!(stream.kinds(1).await, ["stop_requested"]);
    world
        .delete(&owner, &format!("/clusters/1/grants/{}", member.user))
        .await
        .must_be(204);
    // What is tested is that time passes: a right is good for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(stream.event().await.is_none());
}

#[tokio::test]
async fn an_owner_who_is_one_no_longer_hears_of_no_other_cluster_in_the_stream_they_have() {
    let (world, owner) = world().await;
    world.cluster(&owner, "one").await;
    let mine = world.cluster(&owner, "two").await;
    let other = world.owner(owner.tenant).await;
    world.grant(&other, mine, ClusterRole::User).await;
    let mut stream = Stream::of(&world, &other, "").await;
    let change = request("PATCH", &format!("/people/{}", other.user)).bearer(&owner);
    world
        .send(change.json(&json!({"tenant_role": "member"})))
        .await
        .must_be(200);
    for id in [1, 2] {
        world
            .post(&owner, &format!("/clusters/{id}/stop"), json!({}))
            .await
            .must_be(202);
    }
    assert_eq!(stream.event().await.unwrap().1["cluster"], mine.0);
}
