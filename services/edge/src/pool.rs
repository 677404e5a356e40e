//! Kept-alive connections to upstreams, for one serving thread.
//!
//! A connection is lent for one exchange and comes back when the response's body has been read to its end; one whose
//! exchange was given up is closed, which tells the upstream to stop working on it.

use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use updraft_api::edge::Upstream;
use updraft_tunnel::{NearEnd, OpenError};

use crate::alarm::Alarm;
use crate::refusals::Refusal;

/// Below the 5 s after which uvicorn closes an idle connection by default.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// How long a connection that came back may take to be usable.
const SETTLE: Duration = Duration::from_millis(20);
const MAX_IDLE_PER_UPSTREAM: usize = 256;

type Idle = HashMap<Upstream, Vec<(SendRequest<Incoming>, Instant)>>;

pub(crate) struct Pool {
    connect_timeout: Duration,
    tunnels: Arc<NearEnd>,
    idle: Arc<Mutex<Idle>>,
}

/// A connection in use.
pub(crate) struct Lease {
    sender: SendRequest<Incoming>,
    upstream: Upstream,
    home: Arc<Mutex<Idle>>,
}

#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("the upstream refused the connection")]
    Connect(#[source] std::io::Error),
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    #[error("no tunnel led to the upstream in time")]
    Tunnel(#[source] OpenError),
    #[error("the exchange with the upstream broke off")]
    Broken(#[source] hyper::Error),
    #[error("the upstream did not answer in time")]
    AnswerTimeout,
    #[error("the upstream changed the protocol unasked")]
    UnaskedSwitch,
    #[error("the session or token ended while the answer was waited for")]
    SignedOut(Refusal),
    #[error("the right to the answer became another while it was waited for")]
    Revoked,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(connect_timeout: Duration, tunnels: Arc<NearEnd>) -> Self {
        Self {
            connect_timeout,
            tunnels,
            idle: Arc::default(),
        }
    }

    /// Sends a request and waits for the response's head, until `limit` at most.
    pub(crate) async fn send(
        &self,
        upstream: Upstream,
        request: Request<Incoming>,
        (alarm, limit): (&Alarm, Duration),
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let deadline = alarm.deadline(limit);
        let mut exchange = pin!(self.exchange(upstream, request));
        poll_fn(|cx| match exchange.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => alarm
                .poll_passed(deadline, cx)
                .map(|()| Err(UpstreamError::AnswerTimeout)),
        })
        .await
    }

    /// A kept connection that turns out to be closed before anything was sent on it is replaced by another.
    async fn exchange(
        &self,
        upstream: Upstream,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        loop {
            let (mut lease, kept) = match self.take(upstream).await {
                Some(lease) => (lease, true),
                // Boxed, because its size would be moved about with every exchange.
                None => (Box::pin(self.connect(upstream)).await?, false),
            };
            match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, lease)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if kept => request = unsent,
                    _ => return Err(UpstreamError::Broken(error.into_error())),
                },
            }
        }
    }

    async fn take(&self, upstream: Upstream) -> Option<Lease> {
        loop {
            let mut sender = self.pop(upstream)?;
            // Its response is over, but its request may not be: an upload that was answered early.
            let settled = sender.is_ready()
                || Box::pin(timeout(SETTLE, sender.ready()))
                    .await
                    .is_ok_and(|ready| ready.is_ok());
            if settled {
                return Some(Lease {
                    sender,
                    upstream,
                    home: Arc::clone(&self.idle),
                });
            }
        }
    }

    fn pop(&self, upstream: Upstream) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(&upstream)?;
        while let Some((sender, since)) = kept.pop() {
            if since.elapsed() > MAX_IDLE {
                // The rest have waited even longer.
                kept.clear();
                return None;
            }
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self, upstream: Upstream) -> Result<Lease, UpstreamError> {
        let sender = match upstream {
            Upstream::Direct(address) => {
                let stream = timeout(self.connect_timeout, TcpStream::connect(address))
                    .await
                    .map_err(|_| UpstreamError::ConnectTimeout)?
                    .map_err(UpstreamError::Connect)?;
                let _ = stream.set_nodelay(true);
                begin(stream).await?
            }
            Upstream::Tunnel { node } => {
                let opened = self.tunnels.open(node, self.connect_timeout).await;
                begin(opened.map_err(UpstreamError::Tunnel)?).await?
            }
        };
        Ok(Lease {
            sender,
            upstream,
            home: Arc::clone(&self.idle),
        })
    }
}

/// HTTP/1.1 over whatever leads to the upstream.
async fn begin(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Incoming>, UpstreamError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(UpstreamError::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an upstream connection ended early");
        }
    });
    Ok(sender)
}

// === impl Lease ===

impl Lease {
    /// Gives the connection back once its response was read to the end.
    pub(crate) fn release(self) {
        let mut idle = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(self.upstream).or_default();
        if kept.len() < MAX_IDLE_PER_UPSTREAM && !self.sender.is_closed() {
            kept.push((self.sender, Instant::now()));
        }
    }
}
