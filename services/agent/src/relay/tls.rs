//! Who may talk to whom: certificates of the cluster's own CA on both ends, and nothing else.
//!
//! A node's own is exchanged while it runs: connections that are open keep the one they began with, new ones show the new one. A
//! peer whose certificate has ended is refused; one that resumes a session of before, for a day after at the most.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use updraft_model::{ClusterId, NodeRole};

use crate::error::{Error, Result};

/// Its clones are exchanged together.
#[derive(Clone)]
pub struct Tls {
    ends: Arc<RwLock<Ends>>,
}

#[derive(Clone)]
struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

// === impl Tls ===

impl Tls {
    /// # Errors
    /// When the PEM texts can't be understood or don't belong together.
    pub fn new(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<Self> {
        let ends = Ends::new(ca_pem, cert_pem, key_pem)?;
        Ok(Self {
            ends: Arc::new(RwLock::new(ends)),
        })
    }

    /// What new connections show and believe from now on. With anything wrong in it, all stays as it was.
    ///
    /// # Errors
    /// As for [`Tls::new`].
    pub fn exchange(&self, ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<()> {
        let ends = Ends::new(ca_pem, cert_pem, key_pem)?;
        *self.ends.write().unwrap_or_else(PoisonError::into_inner) = ends;
        Ok(())
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        self.ends().client
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.ends().server
    }

    fn ends(&self) -> Ends {
        self.ends.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Ends ===

impl Ends {
    fn new(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots(ca_pem)?);
        let chain = certificates(cert_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| Error::Certificates("the node's key is not PEM"))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|_| Error::Certificates("the cluster's CA verifies nothing"))?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The name in the certificates of a cluster's nodes of one role.
pub(super) fn peer_name(role: NodeRole, cluster: ClusterId) -> Result<ServerName<'static>> {
    ServerName::try_from(format!("{role}.{cluster}.updraft.internal"))
        .map_err(|_| Error::Certificates("the peer has no name"))
}

fn roots(ca_pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Certificates("a certificate is not PEM"))?;
    if found.is_empty() {
        Err(Error::Certificates("there is none"))
    } else {
        Ok(found)
    }
}
