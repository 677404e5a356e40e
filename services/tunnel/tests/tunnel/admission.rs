//! Who gets no tunnel. Each refusal is a row; beside each, the good dial shows that the harness can tell the two apart.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use updraft_model::NodeId;
use updraft_tunnel::{FarEnd, FarSettings, OpenError, TokenDigest};

use crate::harness::{
    Authority, Edge, PATIENCE, SERVER_NAME, Service, eventually, far_end, node, reached, settings, token,
};

const WAIT: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(600);

struct World {
    authority: Authority,
    node: NodeId,
    service: Service,
    edge: Edge,
}

impl World {
    async fn new() -> Self {
        let (authority, node) = (Authority::new(), node());
        Self {
            edge: Edge::start(&authority, node).await,
            service: Service::echo().await,
            authority,
            node,
        }
    }

    fn settings(&self) -> FarSettings {
        settings(
            &self.authority,
            self.node,
            self.edge.address,
            self.service.address,
        )
    }

    /// With tunnels that stand, and what they were dialled with.
    async fn reached(&self) -> (FarSettings, FarEnd) {
        let settings = self.settings();
        let far = far_end(&settings, [self.edge.id()]);
        reached(&far, &[self.edge.id()]).await;
        (settings, far)
    }

    /// TLS as an agent begins it, before its hello.
    async fn dial(&self) -> impl AsyncRead + tokio::io::AsyncWrite + Unpin + use<> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(
            self.authority.ca_pem().as_bytes(),
        );
        roots.add(ca.unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.edge.address).await.unwrap();
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(config))
            .connect(ServerName::try_from(SERVER_NAME).unwrap(), stream)
            .await
            .unwrap()
    }

    /// What the edge says to this hello, to the end of the connection.
    async fn answer_to(&self, hello: &[u8]) -> String {
        let mut stream = self.dial().await;
        stream.write_all(hello).await.unwrap();
        stream.flush().await.unwrap();
        heard(&mut stream).await
    }

    fn hello(&self, node: NodeId, word: &str) -> Vec<u8> {
        use secrecy::ExposeSecret as _;
        format!("updraft-tunnel 1 {node} {}\n", token(word).expose_secret()).into_bytes()
    }
}

async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // A connection that is cut says as much as one that is closed.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hellos_that_are_not_good_are_refused() {
    let world = World::new().await;
    let other = node();
    world.edge.near.await_nodes([
        (world.node, vec![TokenDigest::of(&token("good"))]),
        (other, vec![TokenDigest::of(&token("other"))]),
    ]);
    let rows = [
        (
            "a wrong token",
            world.hello(world.node, "wrong"),
            "-this node is not awaited\n",
        ),
        (
            "another cluster's token",
            world.hello(world.node, "other"),
            "-this node is not awaited\n",
        ),
        (
            "the own token for another cluster",
            world.hello(other, "good"),
            "-this node is not awaited\n",
        ),
        (
            "an unknown node",
            world.hello(node(), "good"),
            "-this node is not awaited\n",
        ),
        (
            "no token",
            format!("updraft-tunnel 1 {}\n", world.node).into(),
            "-that is no hello\n",
        ),
        ("an empty line", b"\n".to_vec(), "-that is no hello\n"),
        (
            "another protocol",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "-that is no hello\n",
        ),
        (
            "bytes that are no text",
            b"updraft-tunnel 1 \xff\xfe x\n".to_vec(),
            "-that is no hello\n",
        ),
        ("an oversized hello", vec![b'a'; 400], "-that is no hello\n"),
        (
            "a foreign protocol version",
            b"updraft-tunnel 2 whatever it may be\n".to_vec(),
            "-this edge speaks version 1 of the tunnel's protocol\n",
        ),
    ];
    for (row, hello, expected) in rows {
        assert_eq!(world.answer_to(&hello).await, expected, "{row}");
        assert_eq!(world.edge.near.load(), (0, 0), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_never_comes_is_not_waited_for() {
    let world = World::new().await;
    let mut silent = world.dial().await;
    let mut drop_by_drop = world.dial().await;
    drop_by_drop.write_all(b"updraft-").await.unwrap();
    let mut undecided = world.dial().await;
    undecided
        .write_all(&world.hello(world.node, "good"))
        .await
        .unwrap();
    let mut no_tls = TcpStream::connect(world.edge.address).await.unwrap();
    let (a, b, c, d) = tokio::join!(
        heard(&mut silent),
        heard(&mut drop_by_drop),
        heard(&mut undecided),
        heard(&mut no_tls)
    );
    assert_eq!((a.as_str(), b.as_str(), d.as_str()), ("", "", ""));
    assert_eq!(
        c,
        format!("+{}\n", world.edge.id()),
        "asked whether it is wanted, it said nothing"
    );
    assert_eq!(world.edge.near.load(), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_of_an_unknown_authority_or_name_is_told_no_token() {
    let world = World::new().await;
    let strangers = Authority::new();
    let addresses = [
        ("an unknown authority", strangers.identity()),
        (
            "another name",
            world.authority.identity_named("web.7.updraft.internal"),
        ),
    ];
    for (row, identity) in addresses {
        let edge = Edge::start_at("127.0.0.1:0".parse().unwrap(), Some(identity), world.node).await;
        let settings = settings(&world.authority, world.node, edge.address, world.service.address);
        let far = far_end(&settings, []);
        let opened = edge.near.open(world.node, MOMENT).await;
        assert_eq!(opened.err(), Some(OpenError::NoTunnel), "{row}");
        assert!(far.standing().borrow().is_empty(), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_without_a_certificate_admits_nobody_yet() {
    let world = World::new().await;
    let edge = Edge::start_at("127.0.0.1:0".parse().unwrap(), None, world.node).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    assert_eq!(heard(&mut stream).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_nodes_tunnels_end_and_are_not_admitted_again() {
    let world = World::new().await;
    let (_, far) = world.reached().await;
    let mut open = world.edge.near.open(world.node, WAIT).await.unwrap();
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x');

    let successor = node();
    world
        .edge
        .near
        .await_nodes([(successor, vec![TokenDigest::of(&token("next"))])]);
    let refused = world.edge.near.open(world.node, Duration::ZERO).await;
    assert_eq!(refused.err(), Some(OpenError::NoTunnel), "from that moment on");
    open.write_all(b"y").await.unwrap();
    assert_eq!(
        open.read_u8().await.unwrap(),
        b'y',
        "what was begun has a moment to end"
    );
    assert!(
        timeout(WAIT, open.read_u8())
            .await
            .expect("but no longer")
            .is_err()
    );

    let mut standing = far.standing();
    timeout(WAIT, standing.wait_for(|standing| standing.is_empty()))
        .await
        .unwrap()
        .unwrap();
    let refused = world.answer_to(&world.hello(world.node, "good")).await;
    assert_eq!(refused, "-this node is not awaited\n");
    assert_eq!(world.edge.near.count(world.node), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_for_the_same_node_ends_the_tunnels_of_the_old_one() {
    let world = World::new().await;
    let (mut settings, far) = world.reached().await;
    world
        .edge
        .near
        .await_nodes([(world.node, vec![TokenDigest::of(&token("next"))])]);
    assert!(world.edge.near.open(world.node, Duration::ZERO).await.is_err());
    settings.token = token("next");
    far.update(settings);
    assert!(world.edge.near.open(world.node, WAIT).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_lasts_as_long_as_its_token_is_good_whichever_others_are() {
    let world = World::new().await;
    let (_, _far) = world.reached().await;
    let [good, next] = ["good", "next"].map(|name| TokenDigest::of(&token(name)));
    let standing = world.edge.near.count(world.node);
    world.edge.near.await_nodes([(world.node, vec![next, good])]);
    assert_eq!(world.edge.near.count(world.node), standing);
    world.edge.near.await_nodes([(world.node, vec![next])]);
    assert_eq!(world.edge.near.count(world.node), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_cannot_hold_more_than_a_few_tunnels() {
    let world = World::new().await;
    let settings = world.settings();
    let fars: Vec<_> = (0..3).map(|_| far_end(&settings, [world.edge.id()])).collect();
    eventually("as many as there may be", || async {
        world.edge.near.count(world.node) == 4
    })
    .await;
    let refused = world.answer_to(&world.hello(world.node, "good")).await;
    assert_eq!(refused, "-this node has enough tunnels here\n");
    drop(fars);
}
