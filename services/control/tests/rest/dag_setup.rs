//! What the operations around DAGs are about, for whoever tries them all.

use chrono::Utc;
use serde_json::json;
use updraft_model::ClusterId;
use updraft_store::dag_versions::{self, NewVersion};
use uuid::Uuid;

use crate::fake_bucket::give_storage;
use crate::support::{Someone, World, request};

pub(crate) const DIGEST: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// A credential of the owner's tenant.
pub(crate) async fn credential(world: &World, owner: &Someone) -> String {
    let name = format!("c{}", &Uuid::new_v4().simple().to_string()[..20]);
    let config = json!({"kind": "s3_keys", "access_key": "AKIA"});
    let new = json!({"name": name, "config": config, "secret": "secret"});
    world.post(owner, "/credentials", new).await.must_be(201);
    name
}

pub(crate) async fn hook(world: &World, owner: &Someone, cluster: ClusterId) -> String {
    let put = request("PUT", &format!("/clusters/{cluster}/dags/hooks")).bearer(owner);
    let made = world.send(put.json(&json!({}))).await.must_be(200);
    made["id"].as_str().unwrap().to_owned()
}

/// The cluster's DAGs are pushed from now on.
pub(crate) async fn take_pushes(world: &World, cluster: ClusterId) {
    give_storage(world, cluster).await;
    let mut tx = world.tx().await;
    let sources = json!([{"folder": "", "source": {"kind": "push"}}]);
    sqlx::query("update clusters set spec = jsonb_set(spec, '{dag_sources}', $2) where id = $1")
        .bind(cluster.0)
        .bind(sources)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// The cluster has a version to go back to.
pub(crate) async fn publish(world: &World, cluster: ClusterId) {
    let version = NewVersion {
        digest: DIGEST,
        published_at: Utc::now(),
        files: 1,
        bytes: 1,
        sources: json!([]),
    };
    let mut tx = world.tx().await;
    dag_versions::publish(&mut tx, cluster, &version).await.unwrap();
    tx.commit().await.unwrap();
}
