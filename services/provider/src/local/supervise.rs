//! Starts dead agents again, with growing pauses, and finishes ends that were begun.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use updraft_model::{NodeId, NodeRole};

use super::layout::{NodeRecord, write_file};
use super::{LocalProvider, agent};
use crate::{NodeStatus, ProviderError};

const LOOK: Duration = Duration::from_millis(200);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An agent that lived this long begins anew with the shortest pause.
const PROVEN: Duration = Duration::from_secs(60);

/// When each node's agent was started last, and how long to wait before the next.
pub(super) type Respawns = HashMap<NodeId, Respawn>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Respawn {
    started_at: Instant,
    pause: Duration,
}

// === impl LocalProvider ===

impl LocalProvider {
    /// Keeps agents alive, and ships what nodes that are gone have left, until cancelled. Agents that run go on without it.
    pub async fn supervise(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.look_for_ever() => {}
            () = self.ship_remains() => {}
        }
    }

    async fn look_for_ever(&self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look().await;
        }
    }

    /// Whether any node runs, whoever started it.
    #[must_use]
    pub fn has_running(&self) -> bool {
        let nodes = self.layout.nodes();
        nodes
            .iter()
            .any(|(node, _)| self.status(*node) == NodeStatus::Running)
    }

    /// Asks every node's agent to stop its services and end; kills what is left after `grace`. The nodes stay.
    ///
    /// # Errors
    /// When a node's processes do not end even so.
    pub async fn stop_all(&self, grace: Duration) -> Result<(), ProviderError> {
        let deadline = Instant::now() + grace;
        // A worker needs its broker and the execution API until its last task is done.
        let (workers, others): (Vec<_>, Vec<_>) = {
            let _turn = self.turn.lock().await;
            self.layout
                .nodes()
                .into_iter()
                .partition(|(_, record)| record.wanted.role == NodeRole::Worker)
        };
        self.stop_wave(&workers, deadline).await?;
        self.stop_wave(&others, deadline).await
    }

    async fn stop_wave(
        &self,
        nodes: &[(NodeId, NodeRecord)],
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        for (node, _) in nodes {
            let _turn = self.turn.lock().await;
            write_file(&self.layout.stop(*node), b"").map_err(|error| super::broken(&error))?;
        }
        while Instant::now() < deadline
            && nodes
                .iter()
                .any(|(node, _)| self.status(*node) == NodeStatus::Running)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (node, _) in nodes {
            self.kill(*node).await?;
        }
        Ok(())
    }

    /// Ends what a node still runs, and leaves its directory.
    async fn kill(&self, node: NodeId) -> Result<(), ProviderError> {
        let layout = self.layout.clone();
        let killed = tokio::task::spawn_blocking(move || {
            let dir = layout.node_dir(node);
            let leaders: Vec<_> = layout.agent_process(node).into_iter().collect();
            super::process::end_all(&dir, &dir.join("run"), &leaders)
        });
        match killed.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(ProviderError::Unclear(format!(
                "processes of node {node} do not end"
            ))),
        }
    }

    async fn look(&self) {
        let mut respawns = self.turn.lock().await;
        let nodes = self.layout.nodes();
        respawns.retain(|node, _| nodes.iter().any(|(id, _)| id == node));
        for (node, _) in nodes {
            match self.status(node) {
                NodeStatus::Running | NodeStatus::Impaired => {
                    if let Err(error) = self.ensure_agent(&mut respawns, node) {
                        tracing::error!(node.id = %node, %error, "an agent cannot be started");
                    }
                }
                NodeStatus::Ending => {
                    if let Err(error) = self.end(node).await {
                        tracing::error!(node.id = %node, %error, "a node cannot be ended");
                    }
                }
                NodeStatus::Pending | NodeStatus::Stopped | NodeStatus::Gone | NodeStatus::Unknown => {}
            }
        }
    }

    /// Starts the node's agent unless it lives, or died too lately.
    pub(super) fn ensure_agent(&self, respawns: &mut Respawns, node: NodeId) -> io::Result<()> {
        let last = self.layout.agent_process(node);
        if last.is_some_and(super::process::ProcessId::is_alive) {
            return Ok(());
        }
        let now = Instant::now();
        let before = respawns.get(&node).copied();
        if before.is_some_and(|respawn| now < respawn.started_at + respawn.pause) {
            return Ok(());
        }
        let pause = match before {
            Some(respawn) if now < respawn.started_at + PROVEN => (respawn.pause * 2).min(LONGEST_PAUSE),
            Some(_) | None => FIRST_PAUSE,
        };
        respawns.insert(
            node,
            Respawn {
                started_at: now,
                pause,
            },
        );
        if last.is_some() {
            tracing::warn!(node.id = %node, "the node's agent died; it is started again");
        }
        let mut child = agent::spawn(&self.layout, &self.settings.agent, node)?;
        // Reaps it; who is alive is read from /proc.
        tokio::spawn(async move { child.wait().await });
        Ok(())
    }
}
