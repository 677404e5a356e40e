//! What control tells both ends of a tunnel: they find each other by it, and nobody else does.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use chrono::Utc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use updraft_api::edge::{RouteState, Upstream};
use updraft_api::tunnel::{TunnelAssignment, TunnelCertificate, TunnelGuest};
use updraft_authz::SigningKey;
use updraft_control::edges::{EdgesState, Picture, SnapshotSettings, keep_current, router};
use updraft_control::installation_keys::{InstallationKeys, KeyTurner, Purpose};
use updraft_control::tunnels::Tunnels;
use updraft_model::{EdgeId, NodeId, NodeRole};
use updraft_store::secrets::MasterKey;
use updraft_store::{edges, installation_keys};
use updraft_tunnel::{EdgeIdentity, FarEnd, FarSettings, NearEnd, OpenError, Pace, TokenDigest};
use uuid::Uuid;

use crate::nodes::launched;
use crate::support::World;

const WAIT: Duration = Duration::from_secs(10);

async fn keys(world: &World) -> InstallationKeys {
    let key = MasterKey::from_bytes([7; 32]);
    InstallationKeys::open(world.database.store(), &key, &Purpose::ALL)
        .await
        .unwrap()
}

async fn tunnels(world: &World, address: &str) -> Arc<Tunnels> {
    Arc::new(Tunnels::new(address.to_owned(), keys(world).await))
}

/// As an edge reads it.
fn admitted(guest: &TunnelGuest) -> (NodeId, Vec<TokenDigest>) {
    let all = std::iter::once(&guest.token_sha256).chain(&guest.others_sha256);
    (guest.node, all.map(|hash| TokenDigest(hash.0)).collect())
}

fn endpoints(world: &World, tunnels: Option<Arc<Tunnels>>) -> Router {
    router(EdgesState {
        app: world.app.clone(),
        edge_token: "edge".to_owned().into(),
        snapshot: watch::channel(None).1,
        tunnels,
    })
}

/// Status and body.
async fn ask(edges: &Router, method: &str, path: &str, token: &str) -> (u16, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/edge/v1/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let answer = edges.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec(),
    )
}

async fn edge_with(certificate: &TunnelCertificate) -> (Arc<NearEnd>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let near = Arc::new(NearEnd::new(Pace::default()));
    let identity = EdgeIdentity::new(&certificate.cert_pem, &certificate.key_pem).unwrap();
    let identity = watch::Sender::new(Some(identity)).subscribe();
    tokio::spawn(Arc::clone(&near).listen(listener, identity, CancellationToken::new()));
    (near, address)
}

fn agent(node: NodeId, assignment: &TunnelAssignment, address: &str) -> FarEnd {
    let settings = FarSettings {
        node,
        address: address.to_owned(),
        server_name: assignment.server_name.clone(),
        ca_pem: assignment.ca_pem.clone(),
        token: assignment.token.clone(),
        edges: assignment.edges.clone(),
        target: ([127, 0, 0, 1], assignment.port).into(),
    };
    FarEnd::start(settings, Pace::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_an_edge_find_each_other_by_what_control_told_them() {
    let world = World::new().await;
    let (node, other) = (NodeId(Uuid::new_v4()), NodeId(Uuid::new_v4()));
    let tunnels_here = tunnels(&world, "unused:1").await;
    let edges = endpoints(&world, Some(tunnels_here.clone()));
    let (status, certificate) = ask(&edges, "POST", "tunnel-certificate", "edge").await;
    assert_eq!(status, 200);
    let (near, address) = edge_with(&serde_json::from_slice(&certificate).unwrap()).await;
    let guest = tunnels_here.guest(node).unwrap();
    near.await_nodes([admitted(&guest)]);

    // Another control process of the same installation says the same.
    let elsewhere = tunnels(&world, "unused:1").await;
    let _agent = agent(node, &elsewhere.assignment(node, [].into()).unwrap(), &address);
    assert!(near.open(node, WAIT).await.is_ok());

    // Another node's token is another one, and another installation's authority is none.
    near.await_nodes([(other, admitted(&guest).1)]);
    let _agent = agent(other, &elsewhere.assignment(other, [].into()).unwrap(), &address);
    let foreign = World::new().await;
    let foreign = tunnels(&foreign, "unused:1").await;
    let guest = foreign.guest(node).unwrap();
    near.await_nodes([admitted(&guest)]);
    let _agent = agent(node, &foreign.assignment(node, [].into()).unwrap(), &address);
    for refused in [other, node] {
        let opened = near.open(refused, Duration::from_millis(500)).await;
        assert_eq!(opened.err(), Some(OpenError::NoTunnel));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_authority_turns_agents_believe_edges_of_either() {
    let world = World::new().await;
    let node = NodeId(Uuid::new_v4());
    let turner = turner(&world).await;
    let here = Tunnels::new("unused:1".to_owned(), turner.keys.clone());
    let before = here.certificate(Utc::now()).unwrap();
    assert_eq!(before.authority.as_deref(), Some("tunnel-authority"));
    ask_turn(&world, "tunnel-authority", false).await;
    turner.look().await.unwrap();
    assert_eq!(
        here.certificate(Utc::now()).unwrap().authority,
        before.authority,
        "agents do not know the next yet"
    );
    let both = here.assignment(node, [].into()).unwrap();

    wait_no_longer(&world).await;
    turner.look().await.unwrap();
    let after = here.certificate(Utc::now()).unwrap();
    assert_eq!(after.authority.as_deref(), Some("tunnel-authority-2"));
    for certificate in [&before, &after] {
        let (near, address) = edge_with(certificate).await;
        let guest = here.guest(node).unwrap();
        near.await_nodes([admitted(&guest)]);
        let _agent = agent(node, &both, &address);
        assert!(near.open(node, WAIT).await.is_ok(), "{:?}", certificate.authority);
    }

    ask_turn(&world, "tunnel-authority", true).await;
    turner.look().await.unwrap();
    let only_new = here.assignment(node, [].into()).unwrap();
    let (near, address) = edge_with(&before).await;
    let guest = here.guest(node).unwrap();
    near.await_nodes([admitted(&guest)]);
    let _agent = agent(node, &only_new, &address);
    let opened = near.open(node, Duration::from_millis(500)).await;
    assert_eq!(
        opened.err(),
        Some(OpenError::NoTunnel),
        "a forgotten authority is believed by nobody"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_of_tokens_turns_edges_admit_either_and_then_the_new_one_alone() {
    let world = World::new().await;
    let node = NodeId(Uuid::new_v4());
    let turner = turner(&world).await;
    let here = Tunnels::new("unused:1".to_owned(), turner.keys.clone());
    let (near, address) = edge_with(&here.certificate(Utc::now()).unwrap()).await;
    let before = here.assignment(node, [].into()).unwrap();
    ask_turn(&world, "tunnel-token", false).await;
    turner.look().await.unwrap();
    let same = here.assignment(node, [].into()).unwrap();
    assert!(
        before.is_same(&same),
        "no node has another before edges know of it"
    );
    near.await_nodes([admitted(&here.guest(node).unwrap())]);
    let _old = agent(node, &before, &address);
    assert!(near.open(node, WAIT).await.is_ok());

    wait_no_longer(&world).await;
    turner.look().await.unwrap();
    let after = here.assignment(node, [].into()).unwrap();
    assert!(!before.is_same(&after));
    near.await_nodes([admitted(&here.guest(node).unwrap())]);
    assert!(near.count(node) > 0, "tunnels go on that came with the old one");
    assert_eq!(turner.keys.token_names(), ["tunnel-token", "tunnel-token-2"]);

    ask_turn(&world, "tunnel-token", true).await;
    turner.look().await.unwrap();
    near.await_nodes([admitted(&here.guest(node).unwrap())]);
    let opened = near.open(node, Duration::from_millis(500)).await;
    assert_eq!(
        opened.err(),
        Some(OpenError::NoTunnel),
        "the old one is worth nothing"
    );
    let _new = agent(node, &after, &address);
    assert!(near.open(node, WAIT).await.is_ok());
}

async fn turner(world: &World) -> KeyTurner {
    KeyTurner {
        store: world.database.store().clone(),
        master_key: Arc::new(MasterKey::from_bytes([7; 32])),
        control: Uuid::new_v4(),
        purposes: Purpose::ALL.to_vec(),
        keys: keys(world).await,
        news: Arc::default(),
    }
}

async fn ask_turn(world: &World, key: &str, distrusted: bool) {
    let mut tx = world.tx().await;
    installation_keys::ask_turn(&mut tx, key, distrusted)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// As if everybody had been waited for long enough.
async fn wait_no_longer(world: &World) {
    let mut tx = world.tx().await;
    sqlx::query("update control_keys set created_at = created_at - interval '20 minutes'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn certificates_are_for_edges_alone_and_only_where_there_are_tunnels() {
    let world = World::new().await;
    let with = endpoints(&world, Some(tunnels(&world, "edges:7443").await));
    assert_eq!(ask(&with, "POST", "tunnel-certificate", "guessed").await.0, 401);
    let without = endpoints(&world, None);
    assert_eq!(ask(&without, "POST", "tunnel-certificate", "edge").await.0, 404);
}

#[tokio::test]
async fn a_certificate_ends_a_month_from_now_and_is_renewed_long_before() {
    let world = World::new().await;
    let certificate = tunnels(&world, "edges:7443")
        .await
        .certificate(Utc::now())
        .unwrap();
    let pem = x509_parser::pem::parse_x509_pem(certificate.cert_pem.as_bytes())
        .unwrap()
        .1;
    let ends = pem.parse_x509().unwrap().validity().not_after.timestamp() - Utc::now().timestamp();
    assert!((29 * 86_400..=30 * 86_400).contains(&ends), "{ends}");
    assert!(i64::try_from(certificate.renew_after_s).unwrap() <= ends / 2);
}

#[tokio::test]
async fn an_edge_that_asks_for_its_snapshot_is_known_to_live_until_it_is_silent() {
    let world = World::new().await;
    let edges = endpoints(&world, Some(tunnels(&world, "edges:7443").await));
    let (one, two) = (EdgeId(Uuid::new_v4()), EdgeId(Uuid::new_v4()));
    for edge in [one, two] {
        // There is no snapshot, so it would wait: that it asked is what counts.
        let path = format!("snapshot?after=0&edge={edge}");
        let _ = tokio::time::timeout(Duration::from_millis(500), ask(&edges, "GET", &path, "edge")).await;
    }
    let mut tx = world.tx().await;
    assert_eq!(edges::list_live(&mut tx).await.unwrap(), [one, two].into());
    sqlx::query("update edges set seen_at = now() - interval '2 minutes' where id = $1")
        .bind(one.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    assert_eq!(edges::list_live(&mut tx).await.unwrap(), [two].into());
    tx.commit().await.unwrap();

    let path = format!("edges/{two}");
    assert_eq!(ask(&edges, "DELETE", &path, "nobody").await.0, 401);
    for _ in 0..2 {
        assert_eq!(ask(&edges, "DELETE", &path, "edge").await.0, 204);
    }
    let mut tx = world.tx().await;
    let known = installation_keys::sayings(&mut tx).await.unwrap();
    assert_eq!(known.edges.len(), 1, "nothing waits for one that has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_are_told_whose_tunnels_to_admit_before_the_cluster_is_up() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let cluster = world.cluster(&owner, "demo").await;
    let web = launched(&world, cluster, NodeRole::Web, None).await;
    launched(&world, cluster, NodeRole::Scheduler, None).await;
    let tunnels = tunnels(&world, "edges:7443").await;
    let mut snapshots = following(&world, tunnels.clone());
    let told = snapshots.wait_for(|snapshot| {
        snapshot
            .as_ref()
            .is_some_and(|told| told.snapshot().routes[0].tunnel.is_some())
    });
    let told = tokio::time::timeout(WAIT, told)
        .await
        .unwrap()
        .unwrap()
        .clone()
        .unwrap()
        .snapshot();
    assert_eq!(told.routes[0].tunnel, tunnels.guest(web));
    assert!(!matches!(told.routes[0].state, RouteState::Up { .. }));

    sqlx::query("update clusters set phase = '{\"state\": \"running\"}'")
        .execute(&mut *world.database.store().connection().await.unwrap())
        .await
        .unwrap();
    let up = RouteState::Up {
        upstream: Upstream::Tunnel { node: web },
    };
    let told = snapshots.wait_for(|snapshot| {
        snapshot
            .as_ref()
            .is_some_and(|told| told.snapshot().routes[0].state == up)
    });
    assert!(tokio::time::timeout(WAIT, told).await.unwrap().is_ok());
}

fn following(world: &World, tunnels: Arc<Tunnels>) -> watch::Receiver<Option<Arc<Picture>>> {
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let settings = SnapshotSettings {
        session_keys: updraft_app::SessionKeys::fixed(key.clone()),
        keys: InstallationKeys::fixed(key),
        console_url: "http://localhost:7700".into(),
        host_of: Box::new(|_, cluster| format!("127.0.0.{cluster}:7701")),
        tunnels: Some(tunnels),
    };
    let (sender, snapshots) = watch::channel(None);
    let store = world.database.store().clone();
    tokio::spawn(keep_current(store, settings, sender, CancellationToken::new()));
    snapshots
}
