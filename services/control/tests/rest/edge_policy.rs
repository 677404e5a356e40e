//! What edges are told: everybody's role on every cluster, soon after anything changes it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use updraft_authz::SigningKey;
use updraft_control::edges::{Picture, SnapshotSettings, keep_current};
use updraft_control::installation_keys::InstallationKeys;
use updraft_model::{ClusterId, ClusterRole};

use crate::support::{Someone, World, request};

/// Well within the minute that a change may take; most of it is the machine's.
const SOON: Duration = Duration::from_secs(30);

struct Edge {
    snapshots: watch::Receiver<Option<Arc<Picture>>>,
    _stop: tokio_util::sync::DropGuard,
}

impl Edge {
    fn following(world: &World) -> Self {
        let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
        let settings = SnapshotSettings {
            session_keys: updraft_app::SessionKeys::fixed(key.clone()),
            keys: InstallationKeys::fixed(key),
            console_url: "http://localhost:7700".into(),
            host_of: Box::new(|_, cluster| format!("127.0.0.{cluster}:7701")),
            tunnels: None,
        };
        let (sender, snapshots) = watch::channel(None);
        let shutdown = CancellationToken::new();
        let store = world.database.store().clone();
        tokio::spawn(keep_current(store, settings, sender, shutdown.clone()));
        Self {
            snapshots,
            _stop: shutdown.drop_guard(),
        }
    }

    /// Waits until edges are told that somebody has this role on the cluster, or none.
    async fn hears(&mut self, who: &Someone, cluster: ClusterId, role: Option<ClusterRole>) {
        let told = self.snapshots.wait_for(|snapshot| {
            snapshot.as_ref().is_some_and(|picture| {
                let snapshot = picture.snapshot();
                let policy = snapshot.policy.clusters.get(&cluster);
                policy.is_some_and(|policy| policy.grants.get(&who.user).copied() == role)
            })
        });
        let told = tokio::time::timeout(SOON, told).await;
        assert!(told.is_ok(), "edges never heard of {role:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_hear_of_rules_groups_tags_and_people_switched_off() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let cluster = world.cluster(&owner, "demo").await;
    let member = world.someone_in(owner.tenant, &["data"]).await;
    let mut edge = Edge::following(&world);
    edge.hears(&member, cluster, None).await;

    let target = json!({"tag": {"key": "env", "value": "prod"}});
    let rule = json!({"who": {"group": "data"}, "role": "admin", "target": target});
    let rule = world.post(&owner, "/access-rules", rule).await.must_be(201);
    let retag = |generation: i64, tags| {
        let asked = request("PATCH", &format!("/clusters/{cluster}")).bearer(&owner);
        asked
            .header("if-match", &format!("\"{generation}\""))
            .json(&json!({ "tags": tags }))
    };
    world.send(retag(1, json!({"env": "prod"}))).await.must_be(202);
    edge.hears(&member, cluster, Some(ClusterRole::Admin)).await;

    world.now_in(&member, &[]).await;
    edge.hears(&member, cluster, None).await;
    world.now_in(&member, &["data"]).await;
    edge.hears(&member, cluster, Some(ClusterRole::Admin)).await;

    world.providers_are_enabled(owner.tenant, false).await;
    edge.hears(&member, cluster, None).await;
    world.providers_are_enabled(owner.tenant, true).await;
    edge.hears(&member, cluster, Some(ClusterRole::Admin)).await;

    world.send(retag(2, json!({}))).await.must_be(202);
    edge.hears(&member, cluster, None).await;
    world.send(retag(3, json!({"env": "prod"}))).await.must_be(202);
    edge.hears(&member, cluster, Some(ClusterRole::Admin)).await;

    let path = format!("/access-rules/{}", rule["id"].as_str().unwrap());
    world.delete(&owner, &path).await.must_be(204);
    edge.hears(&member, cluster, None).await;
    world.grant(&member, cluster, ClusterRole::User).await;
    edge.hears(&member, cluster, Some(ClusterRole::User)).await;
    world
        .execute(&format!(
            "update memberships set disabled_at = now() where user_id = '{}'",
            member.user
        ))
        .await;
    edge.hears(&member, cluster, None).await;
    let members = edge
        .snapshots
        .borrow()
        .as_ref()
        .unwrap()
        .snapshot()
        .policy
        .members[&owner.tenant]
        .clone();
    assert!(!members.contains_key(&member.user) && members.contains_key(&owner.user));
}
