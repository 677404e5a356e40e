//! Pushes, versions with their receipts, going back and following again, webhooks.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use updraft_api::agent::{CurrentPush, KEPT_VERSIONS};
use updraft_control::reconciler::{Liveness, Reports};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole};
use updraft_store::nodes::{self, NewNode};
use uuid::Uuid;

use crate::fake_bucket::give_storage;
use crate::support::{Answer, Someone, World, request};

async fn world() -> (World, Someone, ClusterId) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let new = json!({"name": "demo", "dag_sources": [{"folder": "team_a", "source": {"kind": "push"}}]});
    let made = world.post(&owner, "/clusters", new).await.must_be(202);
    let cluster = ClusterId(made["cluster"]["id"].as_i64().unwrap());
    give_storage(&world, cluster).await;
    (world, owner, cluster)
}

pub(crate) fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

fn push(owner: &Someone, path: &str, archive: Vec<u8>) -> Request<Body> {
    request("POST", path)
        .bearer(owner)
        .bytes("application/gzip", archive)
}

async fn synced(world: &World, owner: &Someone) -> i64 {
    let state = world.get(owner, "/clusters/1/dags").await.must_be(200);
    state["sync"].as_i64().unwrap()
}

// --- pushes ---

#[tokio::test]
async fn a_push_lies_in_the_clusters_bucket_by_its_digest_and_nodes_are_told() {
    let (world, owner, _) = world().await;
    let (before, bytes) = (synced(&world, &owner).await, archive("a.py", b"x = 1"));
    let path = "/clusters/1/dags/push?folder=team_a&message=first+one";
    let pushed = world.send(push(&owner, path, bytes.clone())).await.must_be(202);
    let digest = hex::encode(Sha256::digest(&bytes));
    assert_eq!(pushed["revision"], digest);
    assert_eq!(
        (pushed["files"].as_i64(), pushed["bytes"].as_i64()),
        (Some(1), Some(5))
    );
    assert_eq!(pushed["sync"].as_i64(), Some(before + 1));

    let prefix = "b1/updraft/pushes/team_a/";
    assert_eq!(
        world.pushed.keys(),
        [format!("{prefix}{digest}.tar.gz"), format!("{prefix}current")]
    );
    assert_eq!(world.pushed.get(&format!("{prefix}{digest}.tar.gz")), bytes);
    let current: CurrentPush =
        serde_json::from_slice(&world.pushed.get(&format!("{prefix}current"))).unwrap();
    assert_eq!(current.sha256, digest);
    assert_eq!(current.author.as_deref(), Some(owner.email.as_str()));
    assert_eq!(current.message.as_deref(), Some("first one"));
    let events = world.get(&owner, "/clusters/1/events").await.text;
    assert!(events.contains("dags_pushed"), "{events}");
    assert!(world.get(&owner, "/audit").await.text.contains("dags.push"));
}

#[tokio::test]
async fn a_push_that_cannot_be_taken_changes_nothing() {
    let (world, owner, _) = world().await;
    let good = archive("a.py", b"x = 1");
    let before = synced(&world, &owner).await;
    let send = async |path: &str, bytes: Vec<u8>| -> Answer { world.send(push(&owner, path, bytes)).await };
    let to = "/clusters/1/dags/push?folder=team_a";
    for (path, field) in [
        ("/clusters/1/dags/push", "folder"),
        ("/clusters/1/dags/push?folder=team_b", "folder"),
        ("/clusters/1/dags/push?folder=../x", "folder"),
        ("/clusters/1/dags/push?folder=team_a&message=%07", "message"),
        ("/clusters/1/dags/push?folders=team_a", "folders"),
    ] {
        assert_eq!(send(path, good.clone()).await.refused_field(422), field, "{path}");
    }
    for bad in [
        Vec::new(),
        b"no archive".to_vec(),
        good[..good.len() - 9].to_vec(),
    ] {
        assert_eq!(send(to, bad).await.problem(422), "archive-refused");
    }
    let mut link = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "a.py", "../../etc/passwd").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    link.append_data(&mut header, "b.py", b"".as_slice()).unwrap();
    let link = link.into_inner().unwrap().finish().unwrap();
    let refused = send(to, link).await;
    assert_eq!(refused.problem(422), "archive-refused");
    assert!(refused.text.contains("leads out"), "{}", refused.text);
    assert!(world.pushed.keys().is_empty());
    assert_eq!(synced(&world, &owner).await, before);
}

#[tokio::test]
async fn a_cluster_without_a_bucket_takes_no_push() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let new = json!({"name": "demo", "start": false, "dag_sources": [{"source": {"kind": "push"}}]});
    world.post(&owner, "/clusters", new).await.must_be(202);
    let answer = world
        .send(push(&owner, "/clusters/1/dags/push", archive("a.py", b"x")))
        .await;
    assert_eq!(answer.problem(409), "cluster-never-started");
}

// --- versions ---

pub(crate) async fn node(world: &World, cluster: ClusterId, role: NodeRole) -> NodeId {
    let id = NodeId(Uuid::now_v7());
    let node = NewNode {
        id,
        cluster,
        role,
        ordinal: 1,
        queue: None,
        instance_type: None,
        generation: Generation(1),
        request: json!({}),
        client_token: id.to_string(),
    };
    let mut tx = world.tx().await;
    nodes::intend(&mut tx, &node).await.unwrap();
    nodes::record_launched(&mut tx, id, &id.to_string(), "127.64.0.9")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

/// Nodes that report as their agents would.
pub(crate) struct Nodes {
    reports: Reports,
    pub(crate) scheduler: NodeId,
    worker: NodeId,
}

impl Nodes {
    pub(crate) async fn of(world: &World, cluster: ClusterId) -> Self {
        Self {
            reports: Reports::new(
                world.database.store().clone(),
                Arc::new(Liveness::new(Utc::now())),
            ),
            scheduler: node(world, cluster, NodeRole::Scheduler).await,
            worker: node(world, cluster, NodeRole::Worker).await,
        }
    }

    pub(crate) async fn report(&self, node: NodeId, live: &str, dags: Value) {
        let report = json!({
            "node": node, "assignment_version": 1, "generation": 1, "phase": "running", "services": [], "steps": [],
            "events": [], "dag_version": live, "dags": dags, "cpu_percent": null, "memory_bytes": null,
            "agent_version": "0",
        });
        let report = serde_json::from_value(report).unwrap();
        self.reports.accept(node, report).await.unwrap();
    }
}

fn digest(number: usize) -> String {
    format!("{number:064x}")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn published(number: usize, seconds: i64) -> Value {
    json!({
        "digest": digest(number), "at": at(seconds), "files": 3, "bytes": 100,
        "sources": [{"folder": "team_a", "revision": "c0ffee", "author": "Ada", "message": "First", "pushed_at": at(0)}],
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
fn words(live_since: i64, published: Value, parsed: Value) -> Value {
    json!({"live_since": at(live_since), "published": published, "parsed": parsed, "sources": [], "synced": 3})
}

#[tokio::test]
async fn a_receipt_says_how_far_a_version_came() {
    let (world, owner, cluster) = world().await;
    let nodes = Nodes::of(&world, cluster).await;
    let state = async || world.get(&owner, "/clusters/1/dags").await.must_be(200);
    assert!(state().await["live"].is_null());

    nodes
        .report(
            nodes.scheduler,
            &digest(1),
            words(2, published(1, 1), json!(null)),
        )
        .await;
    let seen = state().await;
    assert_eq!(seen["current"], digest(1));
    assert_eq!(
        (seen["nodes_on_live"].as_i64(), seen["nodes"].as_i64()),
        (Some(1), Some(2))
    );
    assert_eq!(seen["live"]["sources"][0]["author"], "Ada");
    assert!(seen["live"]["parsed"].is_null());
    assert_eq!(seen["synced"], 3);

    nodes
        .report(nodes.worker, &digest(1), words(4, json!(null), json!(null)))
        .await;
    let parsed = json!({
        "digest": digest(1), "at": at(6), "dags": 2,
        "import_errors": [{"file": "a.py", "line": 7, "message": "ImportError: x"}],
    });
    nodes
        .report(nodes.scheduler, &digest(1), words(2, published(1, 1), parsed))
        .await;
    let seen = state().await;
    assert_eq!(seen["nodes_on_live"], 2);
    assert_eq!(seen["live"]["parsed"]["dags"], 2);
    assert_eq!(seen["live"]["parsed"]["import_errors"][0]["line"], 7);
    let arrivals = seen["live"]["arrivals"].as_array().unwrap();
    let labels: Vec<_> = arrivals
        .iter()
        .map(|arrival| arrival["node"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["scheduler-1", "worker-1"]);

    let events = world.get(&owner, "/clusters/1/events").await.text;
    for kind in ["dag_version_published", "dag_import_errors", "a.py:7"] {
        assert!(events.contains(kind), "{kind}: {events}");
    }
}

#[tokio::test]
async fn a_worker_says_nothing_of_what_a_version_is() {
    let (world, owner, cluster) = world().await;
    let nodes = Nodes::of(&world, cluster).await;
    let parsed = json!({"digest": digest(1), "at": at(6), "dags": 2, "import_errors": []});
    nodes
        .report(nodes.worker, &digest(1), words(2, published(1, 1), parsed))
        .await;
    for odd in ["../../x", "", "AB", &"g".repeat(64)] {
        let mut version = published(1, 1);
        version["digest"] = json!(odd);
        nodes
            .report(nodes.scheduler, odd, words(2, version, json!(null)))
            .await;
    }
    let listed = world.get(&owner, "/clusters/1/dags/versions").await.must_be(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_clock_that_is_ahead_counts_as_now() {
    let (world, owner, cluster) = world().await;
    let nodes = Nodes::of(&world, cluster).await;
    let mut version = published(1, 1);
    version["at"] = json!("2999-01-01T00:00:00Z");
    nodes
        .report(nodes.scheduler, &digest(1), words(2, version, json!(null)))
        .await;
    let listed = world.get(&owner, "/clusters/1/dags/versions").await.must_be(200);
    let said: DateTime<Utc> = serde_json::from_value(listed["items"][0]["published_at"].clone()).unwrap();
    assert!(said <= Utc::now());
}

#[tokio::test]
async fn versions_are_bounded_and_the_pinned_one_stays() {
    let (world, owner, cluster) = world().await;
    let nodes = Nodes::of(&world, cluster).await;
    for number in 0..3 {
        let said = words(2, published(number, number.try_into().unwrap()), json!(null));
        nodes.report(nodes.scheduler, &digest(number), said).await;
    }
    let back = json!({"digest": digest(1)});
    let asked = world
        .post(&owner, "/clusters/1/dags/rollback", back)
        .await
        .must_be(202);
    assert_eq!(asked["sync"].as_i64(), Some(synced(&world, &owner).await));
    for number in 3..30 {
        let said = words(2, published(number, number.try_into().unwrap()), json!(null));
        nodes.report(nodes.scheduler, &digest(number), said).await;
    }
    let listed = world.get(&owner, "/clusters/1/dags/versions").await.must_be(200);
    let digests: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["digest"])
        .collect();
    assert_eq!(digests.len(), KEPT_VERSIONS + 1);
    assert_eq!(
        (digests[0], digests[KEPT_VERSIONS]),
        (&json!(digest(29)), &json!(digest(1)))
    );
    let state = world.get(&owner, "/clusters/1/dags").await.must_be(200);
    assert_eq!(state["pinned"], digest(1));

    world.delete(&owner, "/clusters/1/dags/pin").await.must_be(202);
    let state = world.get(&owner, "/clusters/1/dags").await.must_be(200);
    assert!(state["pinned"].is_null());
    for log in ["dags.rollback", "dags.follow"] {
        assert!(world.get(&owner, "/audit").await.text.contains(log), "{log}");
    }
}

#[tokio::test]
async fn one_goes_back_to_one_version_that_is_kept() {
    let (world, owner, cluster) = world().await;
    let nodes = Nodes::of(&world, cluster).await;
    for number in [1, 2] {
        let said = words(2, published(number, number.try_into().unwrap()), json!(null));
        nodes.report(nodes.scheduler, &digest(number), said).await;
    }
    let back = async |digest: &str| {
        let to = json!({"digest": digest});
        world.post(&owner, "/clusters/1/dags/rollback", to).await
    };
    assert_eq!(back(&digest(3)).await.problem(404), "dag-version-not-found");
    for unclear in ["", "00", "0000000000", "../../../x"] {
        assert_eq!(back(unclear).await.refused_field(422), "digest", "{unclear}");
    }
    back(&digest(2)).await.must_be(202);
}

#[tokio::test]
async fn another_source_is_a_new_generation() {
    let (world, owner, _) = world().await;
    let change = json!({"dag_sources": [{"source": {"kind": "git", "url": "https://example.com/r"}}]});
    let update = |seen: &str| {
        let asked = request("PATCH", "/clusters/1").bearer(&owner);
        asked.header("if-match", seen).json(&change)
    };
    let changed = world.send(update("\"1\"")).await.must_be(202);
    assert_eq!(changed["cluster"]["generation"], 2);
    assert_eq!(
        changed["cluster"]["dag_location"],
        "git+https://example.com/r@main"
    );
    assert_eq!(
        world.send(update("\"1\"")).await.problem(412),
        "generation-mismatch"
    );
}

// --- webhooks ---

fn signature(secret: &str, body: &str) -> String {
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// Address below `/api/v1`, and secret.
async fn hook(world: &World, owner: &Someone) -> (String, String) {
    let put = request("PUT", "/clusters/1/dags/hooks").bearer(owner);
    let made = world
        .send(put.json(&json!({"folder": "team_a"})))
        .await
        .must_be(200);
    let url = made["url"].as_str().unwrap();
    let path = url.strip_prefix("http://localhost:7700/api/v1").unwrap();
    (path.to_owned(), made["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_signed_call_has_the_sources_looked_at() {
    let (world, owner, _) = world().await;
    let (path, secret) = hook(&world, &owner).await;
    let body = r#"{"ref":"refs/heads/main","repository":{"url":"https://evil.example"}}"#;
    let github = |signed: &str| {
        let asked = request("POST", &path).header("x-hub-signature-256", signed);
        asked.text("application/json", body)
    };
    let gitlab = |token: &str| {
        request("POST", &path)
            .header("x-gitlab-token", token)
            .text("text/plain", body)
    };
    let before = synced(&world, &owner).await;
    world.send(github(&signature(&secret, body))).await.must_be(202);
    world.send(gitlab(&secret)).await.must_be(202);
    assert_eq!(synced(&world, &owner).await, before + 2);

    for wrong in [
        github(&signature("another", body)),
        github(&signature(&secret, "another")),
        github("sha256="),
        gitlab("another"),
        gitlab(""),
        request("POST", &path).text("application/json", body),
        request("POST", &format!("/hooks/dags/{}", Uuid::new_v4()))
            .header("x-gitlab-token", &secret)
            .empty(),
    ] {
        let answer = world.send(wrong).await;
        assert_eq!(answer.problem(403), "hook-refused");
    }
    assert_eq!(synced(&world, &owner).await, before + 2);
    let spec = world.get(&owner, "/clusters/1").await.text;
    assert!(!spec.contains("evil"), "{spec}");
}

#[tokio::test]
async fn a_hook_keeps_its_address_gets_new_secrets_and_can_go() {
    let (world, owner, _) = world().await;
    let (path, first) = hook(&world, &owner).await;
    let (same, second) = hook(&world, &owner).await;
    assert_eq!(path, same);
    let call = |secret: &str| request("POST", &path).header("x-gitlab-token", secret).empty();
    assert_eq!(world.send(call(&first)).await.problem(403), "hook-refused");
    world.send(call(&second)).await.must_be(202);

    let listed = world.get(&owner, "/clusters/1/dags/hooks").await;
    assert!(!listed.text.contains(&second));
    let listed = listed.must_be(200);
    assert!(listed["items"][0]["called_at"].is_string());
    let path = format!(
        "/clusters/1/dags/hooks/{}",
        listed["items"][0]["id"].as_str().unwrap()
    );
    world.delete(&owner, &path).await.must_be(204);
    assert_eq!(world.send(call(&second)).await.problem(403), "hook-refused");
    assert_eq!(
        world.delete(&owner, &path).await.problem(404),
        "dag-hook-not-found"
    );
    let put = request("PUT", "/clusters/1/dags/hooks").bearer(&owner);
    let nowhere = world.send(put.json(&json!({"folder": "elsewhere"}))).await;
    assert_eq!(nowhere.refused_field(422), "folder");
}

#[tokio::test]
async fn a_flood_of_calls_is_told_to_come_again() {
    let (world, owner, _) = world().await;
    let (path, secret) = hook(&world, &owner).await;
    let mut last = 202;
    for _ in 0..200 {
        let call = request("POST", &path).header("x-gitlab-token", &secret).empty();
        let answer = world.send(call).await;
        last = answer.status.as_u16();
        if last != 202 {
            assert!(answer.headers.contains_key("retry-after"));
            break;
        }
    }
    assert_eq!(last, 429);
}
