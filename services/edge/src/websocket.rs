//! Carries bytes both ways once a websocket's handshake is done, for as long as the person may. When the edge stops, both
//! ends are told to go away, between two frames.

use http::header::{self, HeaderMap};
use http::{Method, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio_util::sync::CancellationToken;

use crate::body::Permit;
use crate::frames::{CLOSE_TO_CLIENT, CLOSE_TO_SERVER, Frames};

const PIECE: usize = 8 << 10;

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
    let (from_client, to_client) = split(TokioIo::new(client));
    let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
    let mut changes = permit.state.changes();
    let seconds_left = permit
        .session
        .visitor
        .expires_at
        .saturating_sub(chrono::Utc::now().timestamp());
    let expiry = tokio::time::sleep(Duration::from_secs(u64::try_from(seconds_left).unwrap_or(0)));
    let copy = async {
        tokio::try_join!(
            carry_one_way(from_upstream, to_client, &CLOSE_TO_CLIENT, shutdown),
            carry_one_way(from_client, to_upstream, &CLOSE_TO_SERVER, shutdown),
        )
    };
    tokio::pin!(expiry, copy);
    while permit.holds() {
        tokio::select! {
            _ = &mut copy => return,
            () = &mut expiry => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Until the one end closes; once `going` is cancelled, to the end of the frame that is on its way, and then the last
/// words.
async fn carry_one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    last_words: &[u8],
    going: &CancellationToken,
) -> std::io::Result<()> {
    let (mut frames, mut piece) = (Frames::default(), vec![0; PIECE]);
    while !(going.is_cancelled() && frames.at_boundary()) {
        let read = tokio::select! {
            read = from.read(&mut piece) => read?,
            () = going.cancelled(), if frames.at_boundary() => break,
        };
        let read = piece.get(..read).unwrap_or_default();
        if read.is_empty() {
            return to.shutdown().await;
        }
        let end = match going.is_cancelled() {
            true => frames.pass_to_boundary(read).map(|(end, _)| end),
            false => {
                frames.pass(read);
                None
            }
        };
        to.write_all(end.unwrap_or(read)).await?;
        if end.is_some() {
            break;
        }
    }
    to.write_all(last_words).await?;
    to.shutdown().await
}
