//! Two nodes' relays over real sockets and real certificates.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Control, Pki, TestNode, eventually, service};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use updraft_agent::relay::{self, Relays};
use updraft_api::agent::{Assignment, RELAY_PORT, RelayAssignment};
use updraft_model::{NodeRole, ServiceName};

/// The port that the cluster's web nodes serve on.
const PORT: u16 = 8080;

struct End {
    address: String,
    relays: Relays,
    assignment: Assignment,
}

impl End {
    async fn new(role: NodeRole, pki: &Pki, trusted: &Pki) -> Self {
        Self::until(role, pki, trusted, None).await
    }

    /// Its certificate ends with the beginning of that year.
    async fn until(role: NodeRole, pki: &Pki, trusted: &Pki, year: Option<i32>) -> Self {
        let control = Control::start().await;
        let node = TestNode::new(&control);
        let (cert, key) = pki.issue_until(&name(role), year);
        let relays = relay::open(&node.address, &trusted.ca_pem, &cert, &key).unwrap();
        let assignment = Assignment {
            role,
            ..node.assignment(Vec::new())
        };
        Self {
            address: node.address.clone(),
            relays,
            assignment,
        }
    }

    /// A web node that offers `PORT`.
    async fn web(pki: &Pki) -> Self {
        let mut end = Self::new(NodeRole::Web, pki, pki).await;
        let mut api = service(ServiceName::ApiServer, "");
        api.ports = vec![PORT];
        end.assignment.services = vec![api];
        end.relays.apply(&end.assignment);
        end
    }

    /// A worker whose services find the web node at their own address.
    async fn worker(pki: &Pki, trusted: &Pki, target: Option<&Self>) -> Self {
        let mut end = Self::new(NodeRole::Worker, pki, trusted).await;
        end.aim(target, PORT);
        end
    }

    /// As its agent does with what control gives it; the certificate.
    fn renew(&self, pki: &Pki) -> String {
        let (cert, key) = pki.issue(&name(self.assignment.role));
        self.relays.tls().exchange(&pki.ca_pem, &cert, &key).unwrap();
        cert
    }

    fn aim(&mut self, target: Option<&Self>, target_port: u16) {
        self.assignment.relays = vec![RelayAssignment {
            listen_port: PORT,
            role: NodeRole::Web,
            target_port,
            target: target.map(|end| format!("{}:{RELAY_PORT}", end.address)),
        }];
        self.relays.apply(&self.assignment);
    }

    /// What a service of this node sees at its own address.
    async fn connect(&self) -> TcpStream {
        loop {
            match TcpStream::connect((self.address.as_str(), PORT)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// A service that answers each line with its name.
    async fn serve(&self, name: &'static str) {
        let listener = TcpListener::bind((self.address.as_str(), PORT)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut line = [0; 64];
                    while let Ok(read @ 1..) = stream.read(&mut line).await {
                        let said = String::from_utf8_lossy(&line[..read]).trim().to_owned();
                        stream
                            .write_all(format!("{name} heard {said}\n").as_bytes())
                            .await
                            .unwrap();
                    }
                });
            }
        });
    }
}

fn name(role: NodeRole) -> String {
    format!("{role}.1.updraft.internal")
}

/// The certificate that a web node shows to a worker now, PEM.
async fn shown(pki: &Pki, web: &End) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pki.ca_pem.as_bytes()).unwrap())
        .unwrap();
    let (cert, key) = pki.issue(&name(NodeRole::Worker));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let stream = TcpStream::connect((web.address.as_str(), RELAY_PORT))
        .await
        .unwrap();
    let server = ServerName::try_from(name(NodeRole::Web)).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(server, stream)
        .await
        .unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

/// Whether a service answers within a second of the connection's beginning.
async fn is_answered(worker: &End) -> bool {
    let mut stream = worker.connect().await;
    stream.write_all(b"hello\n").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 8])).await;
    matches!(answer, Ok(Ok(1..)))
}

async fn ask(stream: &mut TcpStream, words: &str) -> String {
    stream.write_all(format!("{words}\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 256];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer[..read]).trim().to_owned()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 8]))
        .await
        .unwrap();
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test]
async fn a_service_reaches_another_nodes_service_at_its_own_address() {
    let pki = Pki::new();
    let web = End::web(&pki).await;
    web.serve("web").await;
    let worker = End::worker(&pki, &pki, Some(&web)).await;
    let mut one = worker.connect().await;
    let mut other = worker.connect().await;
    assert_eq!(ask(&mut one, "hello").await, "web heard hello");
    assert_eq!(ask(&mut other, "there").await, "web heard there");
    assert_eq!(ask(&mut one, "again").await, "web heard again");
}

#[tokio::test]
async fn large_bodies_pass_whole_both_ways_and_half_closed() {
    let pki = Pki::new();
    let web = End::web(&pki).await;
    let listener = TcpListener::bind((web.address.as_str(), PORT)).await.unwrap();
    let worker = End::worker(&pki, &pki, Some(&web)).await;
    let far = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut body = Vec::new();
        stream.read_to_end(&mut body).await.unwrap();
        stream.write_all(&body).await.unwrap();
    });
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = worker.connect().await.into_split();
    let copy = sent.clone();
    tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    read.read_to_end(&mut received).await.unwrap();
    far.await.unwrap();
    assert!(received == sent);
}

#[tokio::test]
async fn a_peer_of_another_cluster_is_refused() {
    let (pki, foreign) = (Pki::new(), Pki::new());
    let web = End::web(&pki).await;
    web.serve("web").await;
    // It trusts the web node, but its own certificate is of another CA.
    let stranger = End::worker(&foreign, &pki, Some(&web)).await;
    let mut stream = stranger.connect().await;
    let answer = tokio::time::timeout(Duration::from_secs(2), async {
        stream.write_all(b"hello\n").await.unwrap();
        stream.read(&mut [0; 8]).await
    });
    assert!(!matches!(answer.await, Ok(Ok(1..))), "a stranger was answered");
    // A peer without any certificate is no better.
    let mut plain = TcpStream::connect((web.address.as_str(), RELAY_PORT))
        .await
        .unwrap();
    plain.write_all(b"8080\nhello\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("heard"));
}

#[tokio::test]
async fn a_server_of_another_cluster_or_role_is_not_believed() {
    let (pki, foreign) = (Pki::new(), Pki::new());
    let impostor = End::web(&foreign).await;
    impostor.serve("impostor").await;
    let mut scheduler = End::new(NodeRole::Scheduler, &pki, &pki).await;
    let mut offers = service(ServiceName::Scheduler, "");
    offers.ports = vec![PORT];
    scheduler.assignment.services = vec![offers];
    scheduler.relays.apply(&scheduler.assignment);
    scheduler.serve("scheduler").await;
    for wrong in [&impostor, &scheduler] {
        let worker = End::worker(&pki, &pki, Some(wrong)).await;
        let mut stream = worker.connect().await;
        stream.write_all(b"hello\n").await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 8])).await;
        assert!(!matches!(answer, Ok(Ok(1..))), "an impostor was believed");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_breaks_no_open_one() {
    let pki = Pki::new();
    let web = End::web(&pki).await;
    web.serve("web").await;
    let worker = End::worker(&pki, &pki, Some(&web)).await;
    let mut open = worker.connect().await;
    assert_eq!(ask(&mut open, "before").await, "web heard before");
    for end in [&web, &worker] {
        end.renew(&pki);
    }
    let renewed = web.renew(&pki);
    assert_eq!(ask(&mut open, "after").await, "web heard after");
    let mut new = worker.connect().await;
    assert_eq!(ask(&mut new, "too").await, "web heard too");
    assert_eq!(
        shown(&pki, &web).await,
        CertificateDer::from_pem_slice(renewed.as_bytes()).unwrap()
    );
    // What fits nothing changes nothing.
    let (_, anothers_key) = pki.issue("web.1.updraft.internal");
    assert!(
        web.relays
            .tls()
            .exchange(&pki.ca_pem, &renewed, &anothers_key)
            .is_err()
    );
    assert_eq!(ask(&mut open, "still").await, "web heard still");
}

#[tokio::test]
async fn a_peer_whose_certificate_ended_is_refused_until_it_has_another() {
    let pki = Pki::new();
    let web = End::web(&pki).await;
    web.serve("web").await;
    let mut late = End::until(NodeRole::Worker, &pki, &pki, Some(2024)).await;
    late.aim(Some(&web), PORT);
    assert!(!is_answered(&late).await, "an ended certificate was admitted");
    late.renew(&pki);
    assert!(is_answered(&late).await);

    let mut ended = End::until(NodeRole::Web, &pki, &pki, Some(2024)).await;
    ended.assignment.services.clone_from(&web.assignment.services);
    ended.relays.apply(&ended.assignment);
    ended.serve("ended").await;
    let worker = End::worker(&pki, &pki, Some(&ended)).await;
    assert!(!is_answered(&worker).await, "an ended certificate was believed");
    ended.renew(&pki);
    assert!(is_answered(&worker).await);
}

#[tokio::test]
async fn a_port_that_no_service_offers_is_not_reached() {
    let pki = Pki::new();
    let web = End::web(&pki).await;
    let listener = TcpListener::bind((web.address.as_str(), 9999)).await.unwrap();
    let mut worker = End::worker(&pki, &pki, Some(&web)).await;
    worker.aim(Some(&web), 9999);
    let _stream = worker.connect().await;
    let reached = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
    assert!(reached.is_err(), "a port that is not offered was reached");
}

#[tokio::test]
async fn connections_wait_for_a_node_that_is_not_there_yet() {
    let pki = Pki::new();
    let mut worker = End::worker(&pki, &pki, None).await;
    let mut waiting = worker.connect().await;
    waiting.write_all(b"early\n").await.unwrap();
    let web = End::web(&pki).await;
    worker.aim(Some(&web), PORT);
    // The node is there; its service comes later.
    web.serve("web").await;
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(20), waiting.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&answer[..read]).trim(), "web heard early");
}

#[tokio::test]
async fn a_new_target_takes_new_connections_and_keeps_old_ones() {
    let pki = Pki::new();
    let (first, second) = (End::web(&pki).await, End::web(&pki).await);
    first.serve("first").await;
    second.serve("second").await;
    let mut worker = End::worker(&pki, &pki, Some(&first)).await;
    let mut old = worker.connect().await;
    assert_eq!(ask(&mut old, "a").await, "first heard a");
    worker.aim(Some(&second), PORT);
    let mut new = worker.connect().await;
    assert_eq!(ask(&mut new, "b").await, "second heard b");
    assert_eq!(ask(&mut old, "c").await, "first heard c");
    drop(first.relays);
    assert_eq!(ask(&mut new, "d").await, "second heard d");
}

#[tokio::test]
async fn a_node_knows_that_others_use_its_services() {
    let pki = Pki::new();
    let web = End::web(&pki).await;
    web.serve("web").await;
    let worker = End::worker(&pki, &pki, Some(&web)).await;
    assert!(!web.relays.is_in_use(&[PORT]));
    let mut stream = worker.connect().await;
    ask(&mut stream, "hello").await;
    assert!(web.relays.is_in_use(&[PORT]) && !web.relays.is_in_use(&[PORT + 1]));
    drop(stream);
    eventually("the connection's end", || !web.relays.is_in_use(&[PORT])).await;
}

#[tokio::test]
async fn a_relay_that_is_taken_away_listens_no_more() {
    let pki = Pki::new();
    let mut worker = End::worker(&pki, &pki, None).await;
    let mut waiting = worker.connect().await;
    worker.assignment.relays.clear();
    worker.relays.apply(&worker.assignment);
    assert!(is_closed(&mut waiting).await);
    let address = worker.address.clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect((address.as_str(), PORT)).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it still listens");
    }
}
