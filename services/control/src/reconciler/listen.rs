//! Whom this process hears, told to the other processes of control, and whom they hear.
//!
//! A node is silent only if none of them hears it: the one that drives a cluster need not be the one whom its agents
//! talk to. A process that is alone tells nothing but that it lives.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use updraft_store::{controls, nodes};

use super::{ReconcileError, Reconciler, steady};

/// Well within the time after which people are told that a node is quiet.
const PAUSE: Duration = Duration::from_secs(5);

impl Reconciler {
    pub(super) async fn listen_for_ever(self: Arc<Self>, shutdown: CancellationToken) {
        let mut is_alone = true;
        loop {
            self.parts.liveness.attend(steady::now());
            match self.exchange(is_alone).await {
                Ok(others) => is_alone = others == 0,
                Err(error) => tracing::warn!(error = ?error, "what other processes hear is not known"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Tells and asks; how many other processes there are.
    pub(super) async fn exchange(&self, is_alone: bool) -> Result<usize, ReconcileError> {
        let liveness = &self.parts.liveness;
        let heard = if is_alone {
            Vec::new()
        } else {
            liveness.heard(steady::now())
        };
        let mut connection = self.parts.store.connection().await?;
        if !heard.is_empty() {
            // A report that no record has, since its node was started anew by another process, is news again.
            for node in nodes::unreported(&mut connection, &heard).await? {
                liveness.forget(node);
            }
        }
        controls::tell(&mut connection, self.owner, &heard, &self.parts.master_key).await?;
        let others = controls::heard_by_others(&mut connection, self.owner).await?;
        for other in &others {
            let age = TimeDelta::from_std(other.age).unwrap_or(TimeDelta::MAX);
            liveness.learn(&other.nodes, steady::now() - age);
        }
        Ok(others.len())
    }
}
