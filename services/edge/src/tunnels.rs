//! Tunnels of web nodes that cannot be connected to: which are admitted, and what this edge shows to those who dial.
//!
//! The certificate is control's and renewed long before it expires. It is kept on disk beside the snapshot, so that an
//! edge that starts while control is gone is dialled all the same.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use updraft_api::edge::Snapshot;
use updraft_api::tunnel::TunnelCertificate;
use updraft_model::NodeId;
use updraft_tunnel::{EdgeIdentity, TokenDigest};

use crate::error::EdgeError;
use crate::keep::keep;
use crate::state::State;

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The nodes whose tunnels are admitted from now on.
pub(crate) fn guests(snapshot: &Snapshot) -> Vec<(NodeId, Vec<TokenDigest>)> {
    let guests = snapshot.routes.iter().filter_map(|route| route.tunnel.as_ref());
    guests
        .map(|guest| {
            let tokens = std::iter::once(&guest.token_sha256).chain(&guest.others_sha256);
            (guest.node, tokens.map(|hash| TokenDigest(hash.0)).collect())
        })
        .collect()
}

/// The listener that was asked for.
pub(crate) async fn bind(address: Option<SocketAddr>) -> Result<Option<TcpListener>, EdgeError> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener
        .map(Some)
        .map_err(|source| EdgeError::Bind { address, source })
}

/// Admits tunnels until shutdown.
pub(crate) async fn admit(state: &State, listener: Option<TcpListener>, shutdown: &CancellationToken) {
    let Some(listener) = listener else { return };
    let file = CertificateFile::new(&state.config.state_dir);
    let kept = file.load();
    state.show_certificate_of(kept.as_ref().and_then(|kept| kept.authority.clone()));
    let identity = watch::Sender::new(kept.and_then(|kept| identity(&kept)));
    let listening = state
        .tunnels
        .clone()
        .listen(listener, identity.subscribe(), shutdown.clone());
    let renewing = shutdown.run_until_cancelled(renew(state, &file, &identity));
    tokio::join!(listening, renewing);
}

async fn renew(state: &State, file: &CertificateFile, identity_now: &watch::Sender<Option<EdgeIdentity>>) {
    let (mut pause, mut changes) = (RETRY_MIN, state.changes());
    loop {
        match state.control.tunnel_certificate().await {
            Ok(fresh) => {
                if let Some(identity) = identity(&fresh) {
                    identity_now.send_replace(Some(identity));
                    state.show_certificate_of(fresh.authority.clone());
                    file.store(&fresh);
                }
                let outdated = async {
                    while !is_another(state, &fresh) {
                        // Its sender lives as long as the state.
                        let _ = changes.changed().await;
                    }
                };
                let old = Duration::from_secs(fresh.renew_after_s.max(1));
                if is_another(state, &fresh) {
                    // Of a control that has not heard of the other authority yet.
                    sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MAX);
                } else {
                    pause = RETRY_MIN;
                    let _ = timeout(old, outdated).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no certificate for tunnels; asking again");
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}

/// Whether the certificate is to be under another authority than it is. Older control names none.
fn is_another(state: &State, shown: &TunnelCertificate) -> bool {
    let wanted = state.table().tunnel_authority.clone();
    wanted.is_some() && wanted != shown.authority
}

fn identity(certificate: &TunnelCertificate) -> Option<EdgeIdentity> {
    EdgeIdentity::new(&certificate.cert_pem, &certificate.key_pem)
        .inspect_err(|error| tracing::error!(%error, "a certificate for tunnels cannot be used"))
        .ok()
}

struct CertificateFile {
    path: PathBuf,
}

// === impl CertificateFile ===

impl CertificateFile {
    fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("tunnel-certificate.json"),
        }
    }

    /// A missing or damaged one is as good as none.
    fn load(&self) -> Option<TunnelCertificate> {
        serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()
    }

    fn store(&self, certificate: &TunnelCertificate) {
        if let Err(error) = keep(&self.path, certificate) {
            tracing::error!(%error, "the certificate for tunnels could not be kept on disk; a restart without control would not have it");
        }
    }
}
