//! A connection to an address that was judged, and to no other.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::policy::Target;
use crate::{OutboundError, Resolve};

/// Per address: a host has several, and one may be dead.
const CONNECT_TIME: Duration = Duration::from_secs(3);
const ADDRESSES: usize = 4;

/// The machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
static SYSTEM: LazyLock<Result<Arc<ClientConfig>, OutboundError>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusting(roots)
});

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Whom a server's certificate has to be from.
pub(super) fn system_trust() -> Result<Arc<ClientConfig>, OutboundError> {
    SYSTEM.clone()
}

pub(super) fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, OutboundError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| OutboundError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Looks the host up once, judges every address, and connects to one of those.
pub(super) async fn connect(
    target: &Target,
    resolver: &dyn Resolve,
    trust: Arc<ClientConfig>,
) -> Result<Box<dyn Stream>, OutboundError> {
    let addresses = judged_addresses(target, resolver).await?;
    let stream = dial(&addresses, target.port).await?;
    if !target.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(target.host.to_string().trim_matches(['[', ']']).to_owned())
        .map_err(|_| OutboundError::Url)?;
    let secured = TlsConnector::from(trust).connect(name, stream).await;
    Ok(Box::new(secured.map_err(|_| OutboundError::Tls)?))
}

/// A host of which one address is forbidden is not reached at all: such a name is a mistake or an attack.
pub(super) async fn judged_addresses(
    target: &Target,
    resolver: &dyn Resolve,
) -> Result<Vec<IpAddr>, OutboundError> {
    let addresses = match &target.host {
        Host::Domain(name) => resolver.resolve(name).await.unwrap_or_default(),
        Host::Ipv4(address) => vec![IpAddr::V4(*address)],
        Host::Ipv6(address) => vec![IpAddr::V6(*address)],
    };
    if addresses.is_empty() {
        return Err(OutboundError::UnknownHost);
    }
    if !addresses.iter().all(|address| target.admits(*address)) {
        return Err(OutboundError::Forbidden);
    }
    Ok(addresses)
}

pub(super) async fn dial(addresses: &[IpAddr], port: u16) -> Result<TcpStream, OutboundError> {
    for address in addresses.iter().take(ADDRESSES) {
        let attempt = TcpStream::connect(SocketAddr::new(*address, port));
        if let Ok(Ok(stream)) = timeout(CONNECT_TIME, attempt).await {
            return Ok(stream);
        }
    }
    Err(OutboundError::Unreachable)
}
