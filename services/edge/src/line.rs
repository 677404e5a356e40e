//! A client's connection: what is the same for all of its requests, and so is worked out once.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use tokio_util::sync::CancellationToken;
use updraft_authz::X_FORWARDED_FOR;

use crate::alarm::Alarm;
use crate::session::LastCookies;
use crate::state::Worker;

/// The connection a request came on.
pub(crate) struct Line {
    /// The thread that serves it.
    pub(crate) worker: Arc<Worker>,
    /// Where the client reached this edge.
    pub(crate) local: SocketAddr,
    /// The other end's address, which is the client's unless it is a proxy of ours.
    peer: IpAddr,
    by_proxy: bool,
    /// The same as a header's value.
    written: HeaderValue,
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
        let peer = peer.ip().to_canonical();
        let by_proxy = worker.state.config.trusted_proxies.contain(peer);
        Self {
            alarm: worker.clock.alarm(),
            worker,
            local,
            peer,
            by_proxy,
            written: written(peer),
            last_cookies: LastCookies::default(),
            shutdown,
        }
    }

    /// Whose request with these headers is: the client's address as a header's value.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Cow<'_, HeaderValue> {
        if !self.by_proxy {
            return Cow::Borrowed(&self.written);
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter();
        let proxies = &self.worker.state.config.trusted_proxies;
        Cow::Owned(written(
            proxies.client(self.peer, lines.map(HeaderValue::as_bytes)),
        ))
    }
}

fn written(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
