//! One edge with two clusters of one tenant and one of another, and three people.

use std::time::Duration;

use chrono::Utc;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{Route, RouteState, Snapshot};
use updraft_authz::{ClusterPolicy, Policy, SessionClaims, SigningKey, mint_session_token};
use updraft_edge::{EdgeConfig, EdgeError};
use updraft_model::{ClusterId, ClusterRole, SessionId, TenantId, TenantRole, UserId};
use updraft_testing::free_port;
use uuid::Uuid;

use super::client::Call;
use super::control::{EDGE_TOKEN, FakeControl};
use super::upstream::Upstream;

/// Owner of the first tenant.
pub(crate) const ALICE: UserId = UserId(Uuid::from_u128(0xa));
/// Member of the first tenant, user of cluster 1 alone.
pub(crate) const BOB: UserId = UserId(Uuid::from_u128(0xb));
/// Owner of the other tenant, to which cluster 3 belongs.
pub(crate) const CAROL: UserId = UserId(Uuid::from_u128(0xc));

pub(crate) const ACME: TenantId = TenantId(Uuid::from_u128(0x1));
const GLOBEX: TenantId = TenantId(Uuid::from_u128(0x2));

pub(crate) struct World {
    pub(crate) control: FakeControl,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) dir: TempDir,
    pub(crate) config: EdgeConfig,
    pub(crate) session_key: SigningKey,
    pub(crate) airflow_key: SigningKey,
    shutdown: CancellationToken,
    edge: Option<JoinHandle<Result<(), EdgeError>>>,
    port: u16,
}

/// The route of a cluster that lives on its own loopback address.
pub(crate) fn route(cluster: i64, port: u16, state: RouteState) -> Route {
    Route {
        cluster: ClusterId(cluster),
        tenant: if cluster == 3 { GLOBEX } else { ACME },
        name: format!("cluster-{cluster}").parse().unwrap(),
        host: format!("127.0.0.{cluster}:{port}"),
        runtime: "airflow-test".into(),
        state,
        tunnel: None,
        tells_uses: false,
    }
}

/// Waits for a condition.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never happened: {what}");
}

// === impl World ===

impl World {
    /// All three clusters are up.
    pub(crate) async fn start() -> Self {
        let mut world = Self::prepare().await;
        world.start_edge().await;
        world
    }

    /// Everything but the edge itself.
    pub(crate) async fn prepare() -> Self {
        let port = free_port();
        let mut upstreams = Vec::new();
        for cluster in 1..=3 {
            upstreams.push(Upstream::start(&format!("airflow-{cluster}")).await);
        }
        let routes = (1..=3)
            .zip(&upstreams)
            .map(|(id, up)| {
                route(
                    id,
                    port,
                    RouteState::Up {
                        upstream: up.address.into(),
                    },
                )
            })
            .collect();
        let session_key = SigningKey::from_seed("session", &[1; 32]).unwrap();
        let airflow_key = SigningKey::from_seed("airflow", &[2; 32]).unwrap();
        let control = FakeControl::start(Snapshot {
            version: 1,
            routes,
            policy: policy(),
            airflow_key: airflow_key.clone(),
            session_keys: vec![session_key.public().clone()],
            console_url: "http://localhost:7700".into(),
            tunnel_authority: None,
            tunnel_tokens: Vec::new(),
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), format!("{EDGE_TOKEN}\n")).unwrap();
        let mut config = EdgeConfig::new(
            format!("http://{}", control.address).parse().unwrap(),
            dir.path().join("token"),
            dir.path().join("state"),
            dir.path().join("assets"),
        );
        config.listen_port = port;
        config.workers = 2;
        let shutdown = CancellationToken::new();
        Self {
            control,
            upstreams,
            dir,
            config,
            session_key,
            airflow_key,
            shutdown,
            edge: None,
            port,
        }
    }

    pub(crate) async fn start_edge(&mut self) {
        self.shutdown = CancellationToken::new();
        let edge = tokio::spawn(updraft_edge::run(self.config.clone(), self.shutdown.clone()));
        for cluster in 1..=3 {
            let host = self.host(cluster);
            until("the edge listens", || async {
                edge.is_finished() || tokio::net::TcpStream::connect(&host).await.is_ok()
            })
            .await;
        }
        if edge.is_finished() {
            panic!("the edge ended: {:?}", edge.await);
        }
        self.edge = Some(edge);
        let health = self.host(1);
        until("the edge is healthy", || async {
            Call::get(&health, "/_updraft/health").send().await.status == 200
        })
        .await;
    }

    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn stop_edge(&mut self) {
        self.begin_stop();
        self.edge.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) fn host(&self, cluster: i64) -> String {
        format!("127.0.0.{cluster}:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A browser's request below a cluster's prefix.
    pub(crate) fn get(&self, cluster: i64, path: &str) -> Call {
        Call::get(
            &self.host(cluster),
            &format!("/airflow-webserver-{cluster}{path}"),
        )
    }

    /// A session of this person that was handed to this cluster's host.
    pub(crate) fn session(&self, user: UserId, cluster: i64) -> String {
        self.mint(&self.claims(user, cluster))
    }

    pub(crate) fn claims(&self, user: UserId, cluster: i64) -> SessionClaims {
        let now = Utc::now().timestamp();
        SessionClaims {
            iss: updraft_authz::SESSION_ISSUER.into(),
            aud: updraft_authz::SESSION_AUDIENCE.into(),
            sid: SessionId(Uuid::from_u128(user.0.as_u128() + 100)),
            sub: user,
            tenant: if user == CAROL { GLOBEX } else { ACME },
            email: "person@example.com".into(),
            name: "A Person".into(),
            host: self.host(cluster),
            iat: now,
            exp: now + 3600,
        }
    }

    pub(crate) fn mint(&self, claims: &SessionClaims) -> String {
        mint_session_token(&self.session_key, claims).unwrap()
    }

    /// Publishes a change and waits until the edge works from it.
    pub(crate) async fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let version = self.control.publish(change);
        let health = self.host(1);
        until("the edge has the new snapshot", || async {
            Call::get(&health, "/_updraft/health").send().await.json()["snapshot_version"] == version
        })
        .await;
    }

    pub(crate) async fn publish_state(&self, cluster: i64, state: RouteState) {
        self.publish(|s| {
            s.routes
                .iter_mut()
                .find(|r| r.cluster.0 == cluster)
                .unwrap()
                .state = state;
        })
        .await;
    }

    pub(crate) async fn until_control_is(&self, word: &str) {
        let health = self.host(1);
        until("the edge notices control", || async {
            Call::get(&health, "/_updraft/health").send().await.json()["control"] == word
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn policy() -> Policy {
    let cluster = |tenant, grants: &[(UserId, ClusterRole)]| ClusterPolicy {
        tenant,
        grants: grants.iter().copied().collect(),
    };
    Policy {
        clusters: [
            (ClusterId(1), cluster(ACME, &[(BOB, ClusterRole::User)])),
            (ClusterId(2), cluster(ACME, &[])),
            (ClusterId(3), cluster(GLOBEX, &[])),
        ]
        .into(),
        members: [
            (
                ACME,
                [(ALICE, TenantRole::Owner), (BOB, TenantRole::Member)].into(),
            ),
            (GLOBEX, [(CAROL, TenantRole::Owner)].into()),
        ]
        .into(),
        ..Policy::default()
    }
}
