//! Servers of a tenant's own network: plain ones, behind a certificate of an authority that nobody else knows.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Pki;

/// Speaks TLS for a server on this machine, and carries what is said.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// As sources name it.
    pub(crate) authority: String,
}

// === impl Front ===

impl Front {
    pub(crate) async fn before(server: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pki = Pki::new();
        let (certificate, key) = pki.issue("127.0.0.1");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server.trim_start_matches("http://").to_owned();
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), server));
        let lines = pki.ca_pem.lines().filter(|line| !line.starts_with("-----"));
        Self {
            address,
            authority: lines.collect(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, server: String) {
    while let Ok((near, _)) = listener.accept().await {
        let (tls, server) = (tls.clone(), server.clone());
        tokio::spawn(async move {
            // Who does not trust the certificate hangs up.
            let Ok(mut near) = tls.accept(near).await else {
                return;
            };
            let mut far = TcpStream::connect(server).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
