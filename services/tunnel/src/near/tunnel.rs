//! One admitted tunnel, from the edge's side: it asks, the agent answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Uri};
use tokio_util::sync::CancellationToken;

use crate::hello::TokenDigest;
use crate::http2::{AIRFLOW, Requests};
use crate::stream::{Share, TunnelStream};

#[derive(Debug)]
pub(super) struct Tunnel {
    /// That its node came with.
    pub(super) token: TokenDigest,
    requests: Requests,
    streams: Arc<AtomicUsize>,
    retired: CancellationToken,
}

// === impl Tunnel ===

impl Tunnel {
    pub(super) fn new(requests: Requests, token: TokenDigest) -> Self {
        Self {
            token,
            requests,
            streams: Arc::default(),
            retired: CancellationToken::new(),
        }
    }

    /// A new stream; waits while the tunnel carries all that it can.
    pub(super) async fn open(&self) -> Result<TunnelStream, h2::Error> {
        // Counted while it waits, so that others go elsewhere.
        let share = Share::of(&self.streams);
        let mut requests = self.requests.clone().ready().await?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from_static(AIRFLOW);
        let (answer, send) = requests.send_request(request, false)?;
        Ok(TunnelStream::begun(send, answer, share))
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// No new stream comes this way any more.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// Resolves when it is retired.
    pub(super) async fn retired(&self) {
        self.retired.cancelled().await;
    }
}
