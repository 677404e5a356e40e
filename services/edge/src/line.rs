//! A client's connection: what is the same for all of its requests, and so is worked out once.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::session::LastCookies;
use crate::state::Worker;

/// The connection a request came on.
pub(crate) struct Line {
    /// The thread that serves it.
    pub(crate) worker: Arc<Worker>,
    /// Where the client reached this edge.
    pub(crate) local: SocketAddr,
    /// The client's address as a header's value.
    pub(crate) client: HeaderValue,
    pub(crate) last_cookies: LastCookies,
    pub(crate) alarm: Arc<Alarm>,
    pub(crate) shutdown: CancellationToken,
}

// === impl Line ===

impl Line {
    pub(crate) fn new(
        worker: Arc<Worker>,
        peer: SocketAddr,
        local: SocketAddr,
        shutdown: CancellationToken,
    ) -> Self {
        let client = HeaderValue::try_from(peer.ip().to_string());
        Self {
            alarm: worker.clock.alarm(),
            worker,
            local,
            client: client.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            last_cookies: LastCookies::default(),
            shutdown,
        }
    }
}
