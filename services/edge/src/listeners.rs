//! Binds what the route table asks for, and follows it.
//!
//! A host that is an address is bound as it is written; hosts that are names share one configured address. An address
//! that cannot be bound is tried again, and the others go on.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{EdgeConfig, Scheme};
use crate::error::EdgeError;
use crate::serve::Workers;
use crate::state::State;

const RETRY: Duration = Duration::from_secs(2);

pub(crate) struct Listeners {
    workers: Arc<Workers>,
    shutdown: CancellationToken,
    open: HashMap<SocketAddr, CancellationToken>,
}

// === impl Listeners ===

impl Listeners {
    pub(crate) fn new(workers: Arc<Workers>, shutdown: CancellationToken) -> Self {
        Self {
            workers,
            shutdown,
            open: HashMap::new(),
        }
    }

    /// Opens one address now.
    pub(crate) async fn open(&mut self, address: SocketAddr) -> Result<(), EdgeError> {
        if self.open.contains_key(&address) {
            return Ok(());
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| EdgeError::Bind { address, source })?;
        let closed = self.shutdown.child_token();
        tokio::spawn(accept(
            listener,
            Arc::clone(&self.workers),
            self.shutdown.clone(),
            closed.clone(),
        ));
        self.open.insert(address, closed);
        tracing::info!(%address, "listening");
        Ok(())
    }

    /// Follows the route table until shutdown; `fixed` stays open whatever it says.
    pub(crate) async fn follow(mut self, state: &State, fixed: &[SocketAddr]) {
        let mut changes = state.changes();
        loop {
            changes.mark_unchanged();
            let wanted = wanted(state, fixed);
            self.close_all_but(&wanted);
            let mut failed = false;
            for address in wanted {
                if let Err(error) = self.open(address).await {
                    tracing::error!(%error, "a cluster's address is not served");
                    failed = true;
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY), if failed => {}
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    fn close_all_but(&mut self, wanted: &HashSet<SocketAddr>) {
        self.open.retain(|address, closed| {
            let keep = wanted.contains(address);
            if !keep {
                closed.cancel();
            }
            keep
        });
    }
}

fn wanted(state: &State, fixed: &[SocketAddr]) -> HashSet<SocketAddr> {
    let table = state.table();
    table
        .hosts()
        .map(|host| address_of(host, &state.config))
        .chain(fixed.iter().copied())
        .collect()
}

/// Where a host is served.
fn address_of(host: &str, config: &EdgeConfig) -> SocketAddr {
    let default_port = match config.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    host.parse()
        .or_else(|_| {
            host.trim_matches(['[', ']'])
                .parse()
                .map(|ip| SocketAddr::new(ip, default_port))
        })
        .unwrap_or_else(|_| SocketAddr::new(config.listen_address, config.listen_port))
}

async fn accept(
    listener: TcpListener,
    workers: Arc<Workers>,
    shutdown: CancellationToken,
    closed: CancellationToken,
) {
    let Ok(local) = listener.local_addr() else { return };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let local = stream.local_addr().unwrap_or(local);
                workers.deal(stream, peer, local, shutdown.clone());
            }
            Err(error) => {
                // Out of file descriptors, most likely: let some connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
