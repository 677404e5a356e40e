//! `GET /clusters/{id}/logs` and its stream: whose logs they are, and until when.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::Utc;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use updraft_api::log_layout::{LogFile, LogKey};
use updraft_app::LogBuckets;
use updraft_model::{ClusterId, ClusterRole, TenantRole};
use updraft_provider::StorageAccess;

use crate::fake_bucket::give_storage;
use crate::support::{Answer, Someone, World, request};

const TASK: &str = "tasks/dag_id=sales/run_id=r1/task_id=load/attempt=1.log";

const SECRET: &str = "secret-of-acme";

/// One bucket for whoever opens the one of cluster 1, and one of a tenant's own, by its key or with a session, which is
/// remembered; nobody else gets any.
#[derive(Default)]
pub(crate) struct FakeLogs(Arc<InMemory>, Arc<InMemory>, Mutex<Vec<String>>);

// === impl FakeLogs ===

impl FakeLogs {
    pub(crate) fn sessions(&self) -> MutexGuard<'_, Vec<String>> {
        self.2.lock().unwrap()
    }

    async fn ship(&self, source: &str, node: &str, text: &str) {
        put(&self.0, "logs/", source, node, text).await;
    }
}

async fn put(bucket: &InMemory, prefix: &str, source: &str, node: &str, text: &str) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let key = LogKey {
        source: source.parse().unwrap(),
        file: LogFile {
            born: Utc::now(),
            mark: 1,
            node: format!("{node}-d41f6c1a09b2"),
        },
        offset: 0,
    };
    let path = Path::parse(key.render(prefix)).unwrap();
    bucket.put(&path, packed.finish().unwrap().into()).await.unwrap();
}

impl LogBuckets for FakeLogs {
    fn open(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        match access.bucket.as_str() {
            "b1" => Ok(Arc::clone(&self.0) as _),
            other => Err(format!("no bucket {other}")),
        }
    }

    fn open_foreign(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        match &access.session_token {
            Some(token) => self.sessions().push(token.expose_secret().to_owned()),
            None => assert_eq!(access.secret_key.expose_secret(), SECRET),
        }
        match access.bucket.as_str() {
            "acme-logs" => Ok(Arc::clone(&self.1) as _),
            other => Err(format!("`{other}` may not be asked")),
        }
    }
}

/// A cluster that has written, and its tenant's owner.
async fn world() -> (World, Someone, ClusterId) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let cluster = world.cluster(&owner, "demo").await;
    give_storage(&world, cluster).await;
    world
        .logs
        .ship("services/scheduler", "scheduler-1", "scheduler is there\n")
        .await;
    world.logs.ship(TASK, "worker-1", "Loaded 3 rows\n").await;
    (world, owner, cluster)
}

fn texts(page: &Value) -> Vec<&str> {
    let lines = page["lines"].as_array().unwrap();
    lines.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stopped_clusters_logs_are_read_and_searched() {
    let (world, owner, _) = world().await;
    let services = world.get(&owner, "/clusters/1/logs").await.must_be(200);
    assert_eq!(texts(&services), ["scheduler is there"]);
    assert_eq!(services["lines"][0]["node"], "scheduler-1");
    let found = "/clusters/1/logs?dag=sales&task=load&attempt=1&search=LOADED";
    assert_eq!(
        texts(&world.get(&owner, found).await.must_be(200)),
        ["Loaded 3 rows"]
    );
    let nothing = "/clusters/1/logs?dag=sales&search=unloaded";
    assert!(texts(&world.get(&owner, nothing).await.must_be(200)).is_empty());
    let refused = world.get(&owner, "/clusters/1/logs?attempt=1").await;
    assert_eq!(refused.refused_field(422), "attempt");
}

#[tokio::test]
async fn users_read_what_tasks_wrote_and_not_what_services_did() {
    let (world, owner, cluster) = world().await;
    let user = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&user, cluster, ClusterRole::User).await;
    let tasks = world
        .get(&user, "/clusters/1/logs?service=tasks")
        .await
        .must_be(200);
    assert_eq!(texts(&tasks), ["Loaded 3 rows"]);
    for services in ["", "?service=scheduler", "?node=worker-1"] {
        for path in ["/clusters/1/logs", "/clusters/1/logs/stream"] {
            world.get(&user, &format!("{path}{services}")).await.problem(403);
        }
    }
}

#[tokio::test]
async fn another_tenants_logs_are_not_there() {
    let (world, ..) = world().await;
    let elsewhere = world.tenant("globex").await;
    let stranger = world.owner(elsewhere).await;
    for path in [
        "/clusters/1/logs",
        "/clusters/1/logs?dag=sales",
        "/clusters/1/logs/stream",
    ] {
        world.get(&stranger, path).await.problem(404);
    }
}

#[tokio::test]
async fn a_cluster_that_never_ran_has_an_empty_log() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    world.cluster(&owner, "demo").await;
    assert!(texts(&world.get(&owner, "/clusters/1/logs").await.must_be(200)).is_empty());
}

#[tokio::test]
async fn a_stream_follows_and_ends_with_the_right_to_it() {
    let (world, owner, cluster) = world().await;
    let user = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&user, cluster, ClusterRole::User).await;
    let asked = request("GET", "/clusters/1/logs/stream?service=tasks&tail=10").bearer(&user);
    let response = world.router.clone().oneshot(asked.empty()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_data_stream();
    let mut seen = String::new();
    let mut until = async |wanted: &str| {
        while !seen.contains(wanted) {
            let next = tokio::time::timeout(Duration::from_secs(20), body.next()).await;
            match next.expect("the stream stays silent") {
                Some(chunk) => seen.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap()),
                None => return false,
            }
        }
        true
    };
    assert!(until("Loaded 3 rows").await);
    world.logs.ship(TASK, "worker-2", "Loaded 4 rows\n").await;
    assert!(until("Loaded 4 rows").await);
    let grant = format!("/clusters/1/grants/{}", user.user);
    world.delete(&owner, &grant).await.must_be(204);
    assert!(
        !until("nothing any more").await,
        "the stream goes on without the right"
    );
}

pub(crate) async fn set_logs(world: &World, who: &Someone, logs: Value) -> Answer {
    let seen = world.get(who, "/clusters/1").await.must_be(200)["generation"].clone();
    let request = request("PATCH", "/clusters/1").bearer(who);
    let request = request.header("if-match", &format!("\"{seen}\""));
    world.send(request.json(&json!({"logs": logs}))).await
}

#[tokio::test]
async fn logs_are_kept_for_ninety_days_unless_a_cluster_says_otherwise() {
    let (world, owner, _) = world().await;
    let kept = async || {
        world.get(&owner, "/clusters/1").await.must_be(200)["spec"]["logs"]["retention_days"].clone()
    };
    assert_eq!(kept().await, 90);
    for days in [0, 3651] {
        let refused = set_logs(&world, &owner, json!({"retention_days": days})).await;
        assert_eq!(refused.refused_field(422), "logs.retention_days");
    }
    set_logs(&world, &owner, json!({"retention_days": 7}))
        .await
        .must_be(202);
    assert_eq!(kept().await, 7);
    let log = world.get(&owner, "/audit?action=cluster.update").await;
    assert!(log.text.contains("retention_days"), "{}", log.text);
}

#[tokio::test]
async fn old_logs_are_looked_for_once_in_a_while_and_never_those_of_a_deleted_cluster() {
    let (world, owner, _) = world().await;
    world.cluster(&owner, "away").await;
    world.delete(&owner, "/clusters/2").await.must_be(202);
    assert_eq!(world.app.sweep_logs().await.unwrap(), Some(0));
    assert_eq!(world.app.sweep_logs().await.unwrap(), None);
    assert_eq!(
        texts(&world.get(&owner, "/clusters/1/logs").await.must_be(200)).len(),
        1
    );
}

#[tokio::test]
async fn logs_lie_in_a_tenants_own_bucket_once_it_was_written_to() {
    let (world, owner, cluster) = world().await;
    let keys =
        json!({"name": "logs", "config": {"kind": "s3_keys", "access_key": "AKIAACME"}, "secret": SECRET});
    world.post(&owner, "/credentials", keys).await.must_be(201);
    let bucket = |name: &str, credential: &str| json!({"bucket": {"bucket": name, "prefix": "airflow/", "region": "eu-west-1", "credential": credential}});
    for (asked, field) in [
        (bucket("acme-logs", "nobodys"), "logs.bucket.credential"),
        (bucket("somebody-elses", "logs"), "logs.bucket"),
        (bucket("No_Bucket", "logs"), "logs.bucket.bucket"),
    ] {
        let refused = set_logs(&world, &owner, asked).await;
        assert!(!refused.text.contains(SECRET), "{}", refused.text);
        assert_eq!(refused.refused_field(422), field);
    }
    let user = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&user, cluster, ClusterRole::User).await;
    set_logs(&world, &user, bucket("acme-logs", "logs"))
        .await
        .problem(403);

    let set = set_logs(&world, &owner, bucket("acme-logs", "logs")).await;
    assert!(!set.text.contains(SECRET), "{}", set.text);
    set.must_be(202);
    assert!(
        world.logs.1.list(None).next().await.is_none(),
        "what it was tried with is gone"
    );
    let none = world.get(&owner, "/clusters/1/logs?dag=sales").await.must_be(200);
    assert!(
        texts(&none).is_empty(),
        "what was shipped before stays where it is"
    );
    let below = format!("airflow/{}/cluster-1/logs/", owner.tenant);
    put(&world.logs.1, &below, TASK, "worker-1", "Loaded 5 rows\n").await;
    let read = world.get(&owner, "/clusters/1/logs?dag=sales").await.must_be(200);
    assert_eq!(texts(&read), ["Loaded 5 rows"]);
    assert_eq!(
        world.delete(&owner, "/credentials/logs").await.problem(409),
        "credential-in-use"
    );

    set_logs(&world, &owner, json!({})).await.must_be(202);
    let back = world.get(&owner, "/clusters/1/logs?dag=sales").await.must_be(200);
    assert_eq!(texts(&back), ["Loaded 3 rows"]);
}
