//! Carries bytes both ways once a websocket's handshake is done, for as long as the person may.

use http::header::{self, HeaderMap};
use http::{Method, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio_util::sync::CancellationToken;

use crate::body::Permit;

/// Whether a request is a websocket's opening handshake (RFC 6455 section 4.1).
pub(crate) fn is_handshake(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let names = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    *method == Method::GET
        && version == Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && names(header::UPGRADE, "websocket")
        && names(header::CONNECTION, "upgrade")
}

/// Joins the two ends until one of them closes, the right is gone, or the edge stops.
pub(crate) async fn join(
    client: OnUpgrade,
    upstream: OnUpgrade,
    permit: Permit,
    shutdown: CancellationToken,
) {
    match tokio::try_join!(client, upstream) {
        Ok((client, upstream)) => carry(client, upstream, permit, &shutdown).await,
        Err(error) => tracing::debug!(%error, "a websocket's handshake was given up"),
    }
}

async fn carry(client: Upgraded, upstream: Upgraded, mut permit: Permit, shutdown: &CancellationToken) {
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let mut changes = permit.state.changes();
    let seconds_left = permit
        .session
        .visitor
        .expires_at
        .saturating_sub(chrono::Utc::now().timestamp());
    let expiry = tokio::time::sleep(Duration::from_secs(u64::try_from(seconds_left).unwrap_or(0)));
    let copy = copy_bidirectional(&mut client, &mut upstream);
    tokio::pin!(expiry, copy);
    while permit.holds() {
        tokio::select! {
            _ = &mut copy => return,
            () = &mut expiry => return,
            () = shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
