//! Control behind TLS, as its balancer has it: believed by the machine's authorities and the one that is named.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::harness::{ALICE, World};

/// Ends TLS before `to`; gives its address and certificate, PEM.
async fn balancer(to: SocketAddr) -> (SocketAddr, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut control = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut control).await;
            });
        }
    });
    (address, certificate.pem())
}

#[tokio::test]
async fn an_edge_asks_control_over_tls_and_believes_whom_it_is_told_to() {
    let mut world = World::prepare().await;
    let (address, authority) = balancer(world.control.address).await;
    let ca_file = world.dir.path().join("ca.pem");
    std::fs::write(&ca_file, authority).unwrap();
    world.config.control_url = format!("https://{address}").parse().unwrap();
    world.config.control_ca_file = Some(ca_file);
    world.start_edge().await;
    let session = world.session(ALICE, 1);
    assert_eq!(world.get(1, "/").signed_in(&session).send().await.status, 200);
    world.stop_edge().await;

    // Without it the same control is a stranger, who is told no token: the edge works from what it has.
    world.config.control_ca_file = None;
    world.start_edge().await;
    world.until_control_is("unreachable").await;
    assert_eq!(world.get(1, "/").signed_in(&session).send().await.status, 200);
    world.stop_edge().await;
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_named() {
    let mut world = World::prepare().await;
    world.config.control_url = "https://127.0.0.1:1".parse().unwrap();
    world.config.control_ca_file = Some(world.dir.path().join("token"));
    let refused = updraft_edge::run(world.config.clone(), tokio_util::sync::CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("/token"));
}
