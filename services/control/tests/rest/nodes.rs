//! Nodes and services as their agents report them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use updraft_api::agent::Report;
use updraft_app::LiveReports;
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, ServiceName};
use updraft_store::nodes::{self, NewNode};
use uuid::Uuid;

use crate::support::{Someone, World};

async fn world() -> (World, Someone, ClusterId) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let cluster = world.cluster(&owner, "demo").await;
    (world, owner, cluster)
}

fn report(node: NodeId, cpu: f32) -> Value {
    let broker = json!({
        "name": "broker", "state": "healthy", "pid": 7, "started_at": null, "restarts": 2, "detail": null,
    });
    json!({
        "node": node, "assignment_version": 1, "generation": 1, "phase": "running", "services": [broker], "steps": [],
        "events": [], "dag_version": "abc123", "cpu_percent": cpu, "memory_bytes": 1024, "agent_version": "0",
    })
}

/// A node of the cluster's.
pub(crate) async fn one_of(world: &World, cluster: ClusterId) -> NodeId {
    let mut tx = world.tx().await;
    let there = nodes::live(&mut tx, cluster).await.unwrap();
    drop(tx);
    match there.first() {
        Some(node) => node.id,
        None => launched(world, cluster, NodeRole::Web, None).await,
    }
}

pub(crate) async fn launched(
    world: &World,
    cluster: ClusterId,
    role: NodeRole,
    report: Option<&Value>,
) -> NodeId {
    let id = report
        .and_then(|report| report["node"].as_str())
        .map_or_else(|| NodeId(Uuid::now_v7()), |id| id.parse().unwrap());
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
    nodes::record_launched(&mut tx, id, "p-1", "127.64.0.9")
        .await
        .unwrap();
    if let Some(report) = report {
        nodes::record_report(&mut tx, id, report).await.unwrap();
    }
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn nodes_show_what_their_agents_said_and_the_cluster_counts_them() {
    let (world, owner, cluster) = world().await;
    let scheduler = report(NodeId(Uuid::now_v7()), 12.5);
    launched(&world, cluster, NodeRole::Web, None).await;
    launched(&world, cluster, NodeRole::Scheduler, Some(&scheduler)).await;

    let listed = world.get(&owner, "/clusters/1/nodes").await.must_be(200);
    let (first, second) = (&listed["items"][0], &listed["items"][1]);
    assert_eq!(
        (first["label"].as_str(), second["label"].as_str()),
        (Some("scheduler-1"), Some("web-1"))
    );
    assert_eq!(
        (first["phase"].as_str(), first["cpu_percent"].as_f64()),
        (Some("running"), Some(12.5))
    );
    assert!(second["phase"].is_null() && second["last_report_at"].is_null());

    let services = world.get(&owner, "/clusters/1/services").await.must_be(200);
    assert_eq!(services["items"][0]["name"], "broker");
    assert_eq!(services["items"][0]["restarts"], 2);
    assert_eq!(services["items"][0]["node_label"], "scheduler-1");

    let shown = world.get(&owner, "/clusters/1").await.must_be(200);
    assert_eq!(
        (shown["nodes_ready"].as_i64(), shown["nodes_wanted"].as_i64()),
        (Some(1), Some(3))
    );
    assert_eq!(shown["dag_version"], "abc123");
}

#[tokio::test]
async fn a_report_that_makes_no_sense_counts_as_none() {
    let (world, owner, cluster) = world().await;
    let mut nonsense = report(NodeId(Uuid::now_v7()), 1.0);
    nonsense["services"] = json!("all fine");
    launched(&world, cluster, NodeRole::Worker, Some(&nonsense)).await;
    let listed = world.get(&owner, "/clusters/1/nodes").await.must_be(200);
    assert_eq!(listed["items"][0]["label"], "worker-1");
    assert!(listed["items"][0]["phase"].is_null());
}

#[tokio::test]
async fn a_service_is_changed_on_one_node_of_the_cluster_only() {
    let (world, owner, cluster) = world().await;
    let other = world.cluster(&owner, "other").await;
    let ours = launched(&world, cluster, NodeRole::Worker, None).await;
    let theirs = launched(&world, other, NodeRole::Worker, None).await;
    let restart = |node: NodeId| format!("/clusters/1/services/worker/restart?node={node}");
    world.post(&owner, &restart(ours), json!({})).await.must_be(202);
    assert_eq!(
        world.post(&owner, &restart(theirs), json!({})).await.problem(404),
        "node-not-found"
    );
    let mut tx = world.tx().await;
    let found = updraft_store::clusters::find(&mut tx, owner.tenant, owner.user, cluster)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found.service_wishes.on(ServiceName::Worker, ours).restart_nonce,
        1
    );
    assert_eq!(
        found.service_wishes.on(ServiceName::Worker, theirs).restart_nonce,
        0
    );
}

struct Heard(DateTime<Utc>, Arc<Report>);

impl LiveReports for Heard {
    fn latest(&self, _: NodeId) -> Option<(DateTime<Utc>, Arc<Report>)> {
        Some((self.0, Arc::clone(&self.1)))
    }
}

#[tokio::test]
async fn the_newer_of_what_was_heard_and_what_was_stored_is_shown() {
    let (world, owner, cluster) = world().await;
    let stored = report(NodeId(Uuid::now_v7()), 1.0);
    let id = launched(&world, cluster, NodeRole::Worker, Some(&stored)).await;
    let live: Arc<Report> = Arc::new(serde_json::from_value(report(id, 99.0)).unwrap());
    let now = Utc::now();
    for (heard_at, shown) in [(now, 99.0), (now - TimeDelta::hours(1), 1.0)] {
        let app = world.app.clone();
        let app = app.with_live_reports(Arc::new(Heard(heard_at, Arc::clone(&live))));
        let actor = app.authenticate(&owner.token).await.unwrap();
        let nodes = app.list_nodes(&actor, cluster).await.unwrap();
        assert_eq!(nodes[0].cpu_percent, Some(shown), "heard at {heard_at}");
        assert_eq!(nodes[0].last_report_at == Some(heard_at), shown > 1.0);
    }
}

/// What each node left.
#[derive(Default)]
struct Left(std::sync::Mutex<std::collections::HashMap<NodeId, Vec<u8>>>);

#[async_trait::async_trait]
impl updraft_app::BootLogs for Left {
    async fn end_of(&self, node: NodeId, most: usize) -> Result<Option<Vec<u8>>, String> {
        let left = self.0.lock().unwrap();
        Ok(left
            .get(&node)
            .map(|log| log[log.len().saturating_sub(most)..].to_vec()))
    }
}

#[tokio::test]
async fn a_node_that_never_reported_tells_its_admins_how_its_boot_went_also_when_it_is_gone() {
    let left = Arc::<Left>::default();
    let world = World::new().await.with_boot_logs(left.clone());
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let cluster = world.cluster(&owner, "demo").await;
    let node = launched(&world, cluster, NodeRole::Worker, None).await;
    let booting = world
        .get(&owner, "/clusters/1/nodes/worker-1/boot-log")
        .await
        .must_be(200);
    assert!(booting["text"].is_null());
    assert!(
        booting["missing"].as_str().unwrap().contains("not there yet"),
        "{booting}"
    );

    let token = updraft_store::secrets::MasterKey::from_bytes([7; 32])
        .derive_each(&updraft_store::node_identity::bootstrap_context(node))
        .remove(0);
    let token = secrecy::ExposeSecret::expose_secret(&token).to_owned();
    let said = format!("token {token}\nFAILED: agent is not what control named\n");
    left.0.lock().unwrap().insert(node, said.into_bytes());
    let mut tx = world.tx().await;
    nodes::forget(&mut tx, node, Some("never_reported"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let text = "token (removed)\nFAILED: agent is not what control named\n";
    for place in ["worker-1".to_owned(), node.to_string()] {
        let shown = world
            .get(&owner, &format!("/clusters/1/nodes/{place}/boot-log"))
            .await;
        assert_eq!(shown.must_be(200)["text"], text);
    }
    for place in ["worker-2", "web-1", "%27", "..%2f"] {
        let nothing = world
            .get(&owner, &format!("/clusters/1/nodes/{place}/boot-log"))
            .await;
        assert!(
            matches!(nothing.status.as_u16(), 400 | 404),
            "{place}: {}",
            nothing.text
        );
    }
    let stranger = world.owner(world.tenant("other").await).await;
    let refused = world
        .get(&stranger, &format!("/clusters/1/nodes/{node}/boot-log"))
        .await;
    refused.must_be(404);
}
