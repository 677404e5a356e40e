//! The near end: an edge's tunnels, by the node that dialled them.
//!
//! Which nodes are awaited comes from the edge's route table alone. A node that is no longer awaited keeps nothing: its
//! tunnels take no new stream, and are closed when the open ones are done or out of patience.

mod admit;
mod tunnel;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use updraft_model::{EdgeId, NodeId};
use uuid::Uuid;

use crate::error::Refusal;
use crate::hello::{Hello, TokenDigest};
use crate::pace::Pace;
use crate::stream::TunnelStream;
use crate::tls::EdgeIdentity;
use tunnel::Tunnel;

/// What one node may hold open here: two, and two more while the first are not known to be gone.
const MOST_PER_NODE: usize = 4;

/// All tunnels of one edge process.
#[derive(Debug)]
pub struct NearEnd {
    id: EdgeId,
    pace: Pace,
    guests: Mutex<Guests>,
    /// Ticks when a tunnel was admitted.
    arrivals: watch::Sender<()>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Guests {
    awaited: HashMap<NodeId, Vec<TokenDigest>>,
    tunnels: HashMap<NodeId, Vec<Arc<Tunnel>>>,
}

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    #[error("the node has no tunnel to this edge")]
    NoTunnel,
    #[error("the node's tunnels carry all that they can")]
    Full,
}

// === impl NearEnd ===

impl NearEnd {
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            id: EdgeId(Uuid::from_bytes(rand::random())),
            pace,
            guests: Mutex::default(),
            arrivals: watch::Sender::new(()),
            closed: CancellationToken::new(),
        }
    }

    /// By which agents tell this process from others behind the same address.
    #[must_use]
    pub fn id(&self) -> EdgeId {
        self.id
    }

    /// From now on these nodes and no others, each by any of its own tokens. A tunnel stays as long as the token that it came with
    /// is good.
    pub fn await_nodes(&self, awaited: impl IntoIterator<Item = (NodeId, Vec<TokenDigest>)>) {
        let mut guests = self.guests();
        guests.awaited = awaited.into_iter().collect();
        let Guests { awaited, tunnels } = &mut *guests;
        tunnels.retain(|node, tunnels| {
            tunnels.retain(|tunnel| {
                let stays = awaited
                    .get(node)
                    .is_some_and(|tokens| tokens.contains(&tunnel.token));
                if !stays {
                    tunnel.retire();
                }
                stays
            });
            !tunnels.is_empty()
        });
    }

    /// A connection to the node's Airflow, through its least busy tunnel; waits for one until `within` has passed.
    ///
    /// # Errors
    /// When there is none by then.
    pub async fn open(&self, node: NodeId, within: Duration) -> Result<TunnelStream, OpenError> {
        let deadline = Instant::now() + within;
        let mut arrivals = self.arrivals.subscribe();
        while let Some(tunnel) = self.await_tunnel(node, &mut arrivals, deadline).await {
            match timeout_at(deadline, tunnel.open()).await {
                Ok(Ok(stream)) => return Ok(stream),
                // It broke in this moment, or has no numbers left for further streams: its far end dials another.
                Ok(Err(_)) => {
                    tunnel.retire();
                    self.forget(node, &tunnel);
                }
                Err(_) => return Err(OpenError::Full),
            }
        }
        Err(OpenError::NoTunnel)
    }

    /// How many tunnels a node has here.
    #[must_use]
    pub fn count(&self, node: NodeId) -> usize {
        self.guests().tunnels.get(&node).map_or(0, Vec::len)
    }

    /// All nodes' tunnels, and the streams they carry.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let guests = self.guests();
        let all = || guests.tunnels.values().flatten();
        (all().count(), all().map(|tunnel| tunnel.streams()).sum())
    }

    /// Ends every tunnel, so that agents look for another edge.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Admits tunnels until `shutdown`; those that are admitted go on until [`NearEnd::close`]. `identity` may be replaced at any time, and while
    /// there is none nobody is admitted.
    pub async fn listen(
        self: Arc<Self>,
        listener: TcpListener,
        identity: watch::Receiver<Option<EdgeIdentity>>,
        shutdown: CancellationToken,
    ) {
        let admitting = admit::accept(&self, listener, identity);
        shutdown.run_until_cancelled(admitting).await;
    }

    async fn await_tunnel(
        &self,
        node: NodeId,
        arrivals: &mut watch::Receiver<()>,
        deadline: Instant,
    ) -> Option<Arc<Tunnel>> {
        loop {
            arrivals.mark_unchanged();
            if let Some(tunnel) = self.least_busy(node) {
                return Some(tunnel);
            }
            timeout_at(deadline, arrivals.changed()).await.ok()?.ok()?;
        }
    }

    fn least_busy(&self, node: NodeId) -> Option<Arc<Tunnel>> {
        let guests = self.guests();
        let tunnels = guests.tunnels.get(&node)?;
        tunnels.iter().min_by_key(|tunnel| tunnel.streams()).cloned()
    }

    /// Whether a tunnel of this node would be admitted.
    fn judge(&self, hello: &Hello) -> Result<(), Refusal> {
        self.guests().judge(hello)
    }

    /// Judges once more: the route table may have changed while the tunnel was made.
    fn register(&self, hello: &Hello, tunnel: &Arc<Tunnel>) -> Result<(), Refusal> {
        let mut guests = self.guests();
        guests.judge(hello)?;
        let tunnels = guests.tunnels.entry(hello.node).or_default();
        tunnels.push(Arc::clone(tunnel));
        drop(guests);
        self.arrivals.send_replace(());
        Ok(())
    }

    fn forget(&self, node: NodeId, gone: &Arc<Tunnel>) {
        let mut guests = self.guests();
        if let Some(tunnels) = guests.tunnels.get_mut(&node) {
            tunnels.retain(|tunnel| !Arc::ptr_eq(tunnel, gone));
            if tunnels.is_empty() {
                guests.tunnels.remove(&node);
            }
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        // Each change is whole in itself: a panic elsewhere spoils nothing.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Guests ===

impl Guests {
    fn judge(&self, hello: &Hello) -> Result<(), Refusal> {
        let tokens = self.awaited.get(&hello.node);
        if !tokens.is_some_and(|tokens| tokens.contains(&hello.token)) {
            return Err(Refusal::NotAwaited);
        }
        match self.tunnels.get(&hello.node) {
            Some(tunnels) if tunnels.len() >= MOST_PER_NODE => Err(Refusal::Enough),
            Some(_) | None => Ok(()),
        }
    }
}
