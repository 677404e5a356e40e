//! Brings another agent to nodes that run: first to one, then to more and more at once, of each cluster to one at a time. A cluster
//! in which a node failed is left alone, and everybody else where the planner says so (`agents`). Services go on meanwhile.
//!
//! Nothing is told while the processes of control that live do not agree on which agent it is to be: in the middle of an
//! upgrade of control, nodes would be sent back and forth.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use updraft_model::ClusterId;
use updraft_store::agent_rollouts::{self, UnderWay};
use updraft_store::{PgConnection, StoreError, leases, nodes};

use super::agent_words::{self, Speaker};
use super::{ReconcileError, Reconciler};

/// A node that is told and then heard of no more. Before it is given up as lost, which takes 90 s: what made it silent
/// should not reach another.
const SILENT: TimeDelta = TimeDelta::seconds(75);
/// It waits for what it builds, at most so long.
const LONG: Duration = Duration::from_secs(45 * 60);
const MOST_AT_ONCE: i64 = 50;

impl Reconciler {
    pub(super) async fn roll_out_agents_for_ever(self: Arc<Self>, shutdown: CancellationToken) {
        let Some(release) = self.parts.settings.agent_release.clone() else {
            return;
        };
        loop {
            if let Err(error) = self.roll_out_agents(&release).await {
                tracing::warn!(error = ?error, "nodes' agents are not looked after");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.parts.settings.agents) => {}
            }
        }
    }

    /// One step: tells those whose turn it is.
    async fn roll_out_agents(&self, release: &str) -> Result<(), ReconcileError> {
        let mut tx = self.parts.store.begin().await?;
        let told = self.tell_next(&mut tx, release).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if !told.is_empty() {
            // Apart: reports lock a cluster first and a roll-out second.
            let mut connection = self.parts.store.connection().await?;
            leases::wake_all(&mut connection, &told).await?;
        }
        Ok(())
    }

    async fn tell_next(
        &self,
        tx: &mut PgConnection,
        release: &str,
    ) -> Result<Vec<ClusterId>, ReconcileError> {
        agent_rollouts::name(tx, self.owner, Some(release)).await?;
        if agent_rollouts::agreed(tx).await?.as_deref() != Some(release) {
            return Ok(Vec::new());
        }
        let rollout = agent_rollouts::hold(tx, release).await?;
        if rollout.stopped.is_some() {
            return Ok(Vec::new());
        }
        let of = (release, rollout.attempt);
        let first = self.parts.settings.agent_first_in;
        let under_way = agent_rollouts::under_way(tx, of).await?;
        if let Some((lost, why)) = under_way.iter().find_map(|one| Some((one, self.trouble(one)?))) {
            let (tenant, cluster, label) = nodes::owner(tx, lost.node)
                .await?
                .ok_or(StoreError::Missing { what: "node" })?;
            let speaker = Speaker {
                tenant,
                cluster,
                node: lost.node,
                label: &label,
            };
            agent_words::note_failure(tx, of, &speaker, why, first).await?;
            return Ok(Vec::new());
        }
        let done = agent_rollouts::progress(tx, release).await?.done;
        let free = at_once(done) - i64::try_from(under_way.len()).unwrap_or(i64::MAX);
        if free <= 0 {
            return Ok(Vec::new());
        }
        let is_first = |told: &UnderWay| Some(told.cluster) == first;
        let of_first = match first {
            Some(_) => agent_rollouts::next(tx, of, 1, first).await?,
            None => Vec::new(),
        };
        let next = if of_first.is_empty() && !under_way.iter().any(is_first) {
            agent_rollouts::next(tx, of, free, None).await?
        } else {
            of_first
        };
        let (nodes, clusters): (Vec<_>, Vec<_>) = next.into_iter().unzip();
        agent_rollouts::tell(tx, release, &nodes).await?;
        for node in &nodes {
            tracing::info!(node.id = %node, release, "its agent is to be replaced");
        }
        Ok(clusters)
    }

    fn trouble(&self, told: &UnderWay) -> Option<&'static str> {
        let since = TimeDelta::from_std(told.told_for).unwrap_or(TimeDelta::MAX);
        let silence = self.parts.liveness.silence(told.node, Some(since));
        match told.told_for {
            _ if silence > SILENT => Some("Nothing has been heard of it since it was told to."),
            long if long > LONG => Some("It was told to, and has neither done it nor said why not."),
            _ => None,
        }
    }
}

/// One at first: what breaks every node breaks one.
fn at_once(done: i64) -> i64 {
    (done / 4).clamp(1, MOST_AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::at_once;

    #[test]
    fn the_first_goes_alone_and_more_go_the_more_have_gone() {
        assert_eq!([0, 4, 7, 40, 40_000].map(at_once), [1, 1, 1, 10, 50]);
    }
}
