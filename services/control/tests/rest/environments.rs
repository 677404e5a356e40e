//! Which environments nodes are offered: their own cluster's, and what clusters of the same tenant share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use updraft_control::agents::{self, AgentsState};
use updraft_control::assignments::{Desk, News, Places};
use updraft_control::environments::{EnvironmentBuckets, Environments};
use updraft_control::installation_keys::InstallationKeys;
use updraft_control::reconciler::{Liveness, Reports};
use updraft_model::{ClusterId, NodeId, NodeRole, Protocol};
use updraft_provider::StorageAccess;
use updraft_runtimes::Catalogue;
use updraft_store::secrets;

use crate::dags::node;
use crate::fake_bucket::give_storage;
use crate::support::{Someone, World};

/// Machines that are all alike.
struct Alike;

impl Places for Alike {
    fn node_dir(&self, node: NodeId) -> String {
        format!("/nodes/{node}")
    }

    fn shared_dir(&self, cluster: ClusterId) -> String {
        format!("/nodes/cluster-{cluster}")
    }

    fn environment_dir(&self, runtime: &str) -> Option<String> {
        Some(format!("/environments/{runtime}"))
    }

    fn environments_dir(&self, cluster: ClusterId) -> String {
        format!("/nodes/environments-{cluster}")
    }

    fn uv_binary(&self) -> String {
        "/uv".to_owned()
    }

    fn package_index(&self) -> Option<String> {
        None
    }

    fn forget(&self, _: ClusterId) {}

    fn broker_binary(&self) -> String {
        "/valkey-server".to_owned()
    }

    fn template_database(&self, runtime: &str) -> String {
        runtime.to_owned()
    }
}

/// What lies in buckets, as `bucket/key`.
#[derive(Default)]
struct Shelf(Mutex<BTreeSet<String>>);

#[async_trait]
impl EnvironmentBuckets for Shelf {
    async fn offer(&self, access: &StorageAccess, key: &str, _: u64) -> Result<Option<SecretString>, String> {
        let at = format!("{}/{key}", access.bucket);
        let is_there = self.0.lock().unwrap().contains(&at);
        Ok(is_there.then(|| at.into()))
    }
}

/// Control as agents meet it.
pub(crate) struct Stage {
    pub(crate) world: World,
    shelf: Arc<Shelf>,
    router: Router,
}

/// The scheduler's node of a cluster.
pub(crate) struct Agent {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    token: String,
}

// === impl Stage ===

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(false).await
    }

    /// Where nodes are instances.
    pub(crate) async fn of_instances() -> Self {
        Self::with(true).await
    }

    async fn with(instances: bool) -> Self {
        let world = World::new().await;
        let store = world.database.store().clone();
        let desk = Arc::new(Desk {
            store: store.clone(),
            master_key: world.app.config().master_key.clone(),
            catalogue: Arc::new(Catalogue::embedded().unwrap()),
            places: Arc::new(Alike),
            keys: InstallationKeys::fixed(updraft_authz::SigningKey::from_seed("test", &[7; 32]).unwrap()),
            outbound_allow: Vec::new(),
            log_disk_bytes: 1 << 30,
            metadata_authority: None,
            base_url: Box::new(|_, cluster| format!("http://127.0.0.1/{cluster}/")),
            tunnels: None,
            news: Arc::new(News::default()),
        });
        let shelf = Arc::<Shelf>::default();
        let liveness = Arc::new(Liveness::new(chrono::Utc::now()));
        let router = agents::router(AgentsState {
            agent: Some(crate::agents::release()),
            environments: Environments::new(desk.clone(), shelf.clone()),
            reports: Reports::new(store, liveness),
            desk,
            identities: Arc::default(),
            instances,
        });
        Self { world, shelf, router }
    }

    /// A cluster that asks for packages, with a node.
    pub(crate) async fn cluster(&self, owner: &Someone, name: &str, environment: Value) -> Agent {
        let new = json!({"name": name, "environment": environment});
        let made = self.world.post(owner, "/clusters", new).await.must_be(202);
        let cluster = ClusterId(made["cluster"]["id"].as_i64().unwrap());
        give_storage(&self.world, cluster).await;
        let mut tx = self.world.tx().await;
        let key = &self.world.app.config().master_key;
        for name in ["dsn", "fernet_key", "jwt_secret", "broker_password"] {
            secrets::put(&mut tx, key, cluster, name, &"secret".into())
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let node = node(&self.world, cluster, NodeRole::Scheduler).await;
        let token = format!("token of {node}");
        let mut tx = self.world.tx().await;
        sqlx::query("update nodes set identity_hash = $2 where id = $1")
            .bind(node.0)
            .bind(Sha256::digest(&token).to_vec())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Agent { cluster, node, token }
    }

    pub(crate) async fn owner(&self) -> Someone {
        let tenant = self.world.tenant("acme").await;
        self.world.owner(tenant).await
    }

    /// As an agent does that does not say its protocol.
    pub(crate) async fn ask(&self, agent: &Agent, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.ask_with(agent, path, body, None).await
    }

    pub(crate) async fn ask_in(
        &self,
        protocol: u32,
        agent: &Agent,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.ask_with(agent, path, body, Some(protocol)).await
    }

    /// What a node says that nobody knows yet.
    pub(crate) async fn register(&self, body: Value) -> (StatusCode, Value) {
        let request = Request::post("/agent/v1/register").header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// As the node that was given this identity.
    pub(crate) async fn ask_as(&self, token: &str, path: &str) -> StatusCode {
        let request = Request::get(format!("/agent/v1/{path}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await.0
    }

    /// As that node, with nothing to say.
    pub(crate) async fn post_as(&self, token: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::post(format!("/agent/v1/{path}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn ask_with(
        &self,
        agent: &Agent,
        path: &str,
        body: Option<Value>,
        protocol: Option<u32>,
    ) -> (StatusCode, Value) {
        let method = if body.is_some() { "POST" } else { "GET" };
        let request = Request::builder()
            .method(method)
            .uri(format!("/agent/v1/{path}"))
            .header("authorization", format!("Bearer {}", agent.token))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        let mut request = request.unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert(Protocol::HEADER, protocol.into());
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let own = Protocol::OWN.to_string();
        assert_eq!(answer.headers()[Protocol::HEADER], own.as_str());
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn build(&self, agent: &Agent) -> Value {
        let (_, assignment) = self.ask(agent, "assignment?after=0", None).await;
        assignment["build"].clone()
    }

    async fn digest(&self, agent: &Agent) -> String {
        self.build(agent).await["digest"].as_str().unwrap().to_owned()
    }

    /// It put an archive into its cluster's bucket, and says so.
    async fn keeps(&self, agent: &Agent, digest: &str, sha256: &str, apart: bool) {
        let key = format!(
            "b{}/updraft/environments/{digest}/{sha256}.tar.zst",
            agent.cluster
        );
        self.shelf.0.lock().unwrap().insert(key);
        let kept = json!({"sha256": sha256, "bytes": 1000, "apart": apart});
        let build = json!({"digest": digest, "attempt": 1, "stages": [], "outcome": {"state": "ready"}, "kept": kept});
        let report = json!({
            "node": agent.node, "assignment_version": 1, "generation": 1, "phase": "running", "services": [],
            "steps": [], "events": [], "dag_version": null, "cpu_percent": null, "memory_bytes": null,
            "agent_version": "0", "build": build,
        });
        let (status, _) = self.ask(agent, "report", Some(report)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }

    /// The bucket and the digest of what a node may take.
    async fn offered(&self, agent: &Agent, digest: &str) -> Option<(String, String)> {
        let (status, offer) = self.ask(agent, &format!("environments/{digest}"), None).await;
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        assert_eq!(status, StatusCode::OK);
        let bucket = offer["url"]
            .as_str()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        Some((bucket, offer["sha256"].as_str().unwrap().to_owned()))
    }
}

fn asked(requirements: &str) -> Value {
    json!({"requirements": requirements})
}

fn sha(number: u8) -> String {
    format!("{number:064x}")
}

async fn two() -> (Stage, Someone, Agent, Agent) {
    let stage = Stage::new().await;
    let tenant = stage.world.tenant("acme").await;
    let owner = stage.world.owner(tenant).await;
    let one = stage.cluster(&owner, "one", asked("greeter==1.0")).await;
    let other = stage
        .cluster(&owner, "other", asked("greeter==1.0  # the same"))
        .await;
    (stage, owner, one, other)
}

#[tokio::test]
async fn what_one_cluster_built_another_of_its_tenant_takes_and_none_of_another_tenant() {
    let (stage, _, one, other) = two().await;
    let stranger = stage.world.tenant("globex").await;
    let stranger = stage.world.owner(stranger).await;
    let foreign = stage.cluster(&stranger, "one", asked("greeter==1.0")).await;
    let digest = stage.digest(&one).await;
    assert_eq!(stage.digest(&other).await, digest);
    assert_eq!(stage.digest(&foreign).await, digest);
    assert_eq!(stage.offered(&other, &digest).await, None);
    stage.keeps(&one, &digest, &sha(1), true).await;
    let there = Some((format!("b{}", one.cluster), sha(1)));
    assert_eq!(stage.offered(&other, &digest).await, there);
    assert_eq!(stage.offered(&one, &digest).await, there);
    assert_eq!(stage.offered(&foreign, &digest).await, None);
    assert!(stage.build(&one).await["recorded"].as_bool().unwrap());
    assert!(!stage.build(&other).await["recorded"].as_bool().unwrap());
}

#[tokio::test]
async fn a_node_is_neither_offered_nor_believed_what_its_cluster_does_not_ask_for() {
    let (stage, owner, one, other) = two().await;
    let third = stage.cluster(&owner, "third", asked("greeter==2.0")).await;
    let (digest, wanted) = (stage.digest(&one).await, stage.digest(&third).await);
    stage.keeps(&one, &wanted, &sha(6), true).await;
    assert_eq!(stage.offered(&third, &wanted).await, None, "planted by another");
    stage.keeps(&one, &digest, &sha(1), true).await;
    assert_eq!(stage.offered(&third, &digest).await, None, "not its own");
    stage.keeps(&other, &digest, "../../elsewhere", true).await;
    assert_eq!(
        stage.offered(&other, &digest).await,
        Some((format!("b{}", one.cluster), sha(1)))
    );
}

#[tokio::test]
async fn the_first_archive_stays_the_tenants_and_one_that_others_could_touch_is_never_shared() {
    let (stage, owner, one, other) = two().await;
    let third = stage.cluster(&owner, "third", asked("greeter==1.0")).await;
    let digest = stage.digest(&one).await;
    stage.keeps(&third, &digest, &sha(7), false).await;
    assert_eq!(
        stage.offered(&other, &digest).await,
        None,
        "it was not built apart"
    );
    stage.keeps(&one, &digest, &sha(1), true).await;
    stage.keeps(&other, &digest, &sha(2), true).await;
    let of = |agent: &Agent, number| Some((format!("b{}", agent.cluster), sha(number)));
    assert_eq!(stage.offered(&other, &digest).await, of(&other, 2), "its own");
    assert_eq!(stage.offered(&third, &digest).await, of(&third, 7), "its own");
    let fourth = stage.cluster(&owner, "fourth", asked("greeter==1.0")).await;
    assert_eq!(stage.offered(&fourth, &digest).await, of(&one, 1), "the first");
}

#[tokio::test]
async fn what_was_fetched_outlives_the_cluster_that_built_it() {
    let (stage, owner, one, other) = two().await;
    let digest = stage.digest(&one).await;
    stage.keeps(&one, &digest, &sha(1), true).await;
    stage.keeps(&other, &digest, &sha(1), true).await;
    stage
        .shelf
        .0
        .lock()
        .unwrap()
        .retain(|key| !key.starts_with(&format!("b{}/", one.cluster)));
    let third = stage.cluster(&owner, "third", asked("greeter==1.0")).await;
    let there = Some((format!("b{}", other.cluster), sha(1)));
    assert_eq!(stage.offered(&third, &digest).await, there);
    assert!(
        !stage.build(&one).await["recorded"].as_bool().unwrap(),
        "what was lost is forgotten, and kept anew"
    );
}

#[tokio::test]
async fn a_cluster_that_builds_for_itself_takes_nothing_and_gives_nothing() {
    let (stage, owner, one, _) = two().await;
    let alone = json!({"requirements": "greeter==1.0", "own_builds": true});
    let (three, four) = (
        stage.cluster(&owner, "three", alone.clone()).await,
        stage.cluster(&owner, "four", alone).await,
    );
    let (digest, own) = (stage.digest(&one).await, stage.digest(&three).await);
    assert_eq!(stage.digest(&four).await, own);
    stage.keeps(&one, &digest, &sha(1), true).await;
    stage.keeps(&three, &own, &sha(3), true).await;
    assert_eq!(stage.offered(&three, &digest).await, None);
    assert_eq!(stage.offered(&four, &own).await, None);
    let there = Some((format!("b{}", three.cluster), sha(3)));
    assert_eq!(stage.offered(&three, &own).await, there);
}

#[tokio::test]
async fn what_an_index_gave_for_one_login_is_given_to_nobody_with_another() {
    let (stage, owner, _, _) = two().await;
    for name in ["pypi", "other"] {
        let new = json!({"name": name, "config": {"kind": "package_index", "host": "pypi.example.com", "username": "u"}, "secret": "p"});
        stage.world.post(&owner, "/credentials", new).await.must_be(201);
    }
    let by = |credential: &str| {
        let index = json!({"url": "https://pypi.example.com/simple/", "credential": credential});
        json!({"requirements": "greeter==1.0", "package_index": index})
    };
    let one = stage.cluster(&owner, "a", by("pypi")).await;
    let same = stage.cluster(&owner, "b", by("pypi")).await;
    let other = stage.cluster(&owner, "c", by("other")).await;
    let digest = stage.digest(&one).await;
    stage.keeps(&one, &digest, &sha(1), true).await;
    assert!(stage.offered(&same, &digest).await.is_some());
    assert_eq!(stage.offered(&other, &digest).await, None);
}
