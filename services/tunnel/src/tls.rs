//! TLS 1.3 and nothing older. The far end believes the installation's CA alone, of which control tells it; the near end
//! asks for no certificate, since a node proves itself by its token.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::error::TunnelError;

/// A listener for something else on this address, or a dial of something else, ends in the handshake.
const PROTOCOL: &[u8] = b"updraft-tunnel";

/// With what an edge shows agents that it is one.
#[derive(Clone)]
pub struct EdgeIdentity {
    pub(crate) acceptor: TlsAcceptor,
}

// === impl EdgeIdentity ===

impl EdgeIdentity {
    /// From certificate chain and key, PEM.
    ///
    /// # Errors
    /// When they can't be understood or don't belong together.
    pub fn new(cert_pem: &str, key_pem: &SecretString) -> Result<Self, TunnelError> {
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose_secret().as_bytes())
            .map_err(|_| TunnelError::Certificates("the edge's key is not PEM"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(certificates(cert_pem)?, key)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

impl std::fmt::Debug for EdgeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeIdentity").finish_non_exhaustive()
    }
}

/// For those who dial.
pub(crate) fn connector(ca_pem: &str) -> Result<TlsConnector, TunnelError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TunnelError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TunnelError::Certificates("a certificate is not PEM"))?;
    if found.is_empty() {
        Err(TunnelError::Certificates("there is none"))
    } else {
        Ok(found)
    }
}
