//! Nodes that say nothing: few of them are lost, and of many it is the hearing.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use updraft_control::reconciler::Liveness;
use updraft_model::{NodeRole, OperationState, Phase};
use updraft_planner::limits;
use updraft_provider::simulated::Faults;

use crate::stage::{Running, Stage};

const WORKERS: u32 = 50;
/// With a scheduler's and a web node.
const NODES: usize = 52;

impl Stage {
    /// A control that began to listen so long ago, and of its nodes has heard all but these many.
    fn run_without(&self, unheard: usize, listens_for: TimeDelta) -> Running {
        let now = Utc::now();
        let liveness = Liveness::new(now - listens_for);
        // It never stood still.
        for ago in (0..listens_for.num_seconds()).rev().step_by(10) {
            liveness.attend(now - TimeDelta::seconds(ago));
        }
        // The agents of `stage` report to another process.
        for machine in self.provider.live().iter().rev().skip(unheard) {
            liveness.report(machine.node, self.last_word(machine.node), now);
        }
        Running::of(self.reconciler_with(|_| {}, Arc::new(liveness)))
    }

    /// The reasons for which the cluster is not whole, as looked at now.
    async fn reasons(&self) -> Vec<String> {
        self.wake().await;
        match self.phase().await {
            Phase::Degraded { reasons } => reasons,
            _ => Vec::new(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_nothing_is_told_of_within_seconds_of_its_time() {
    let stage = Stage::running(Faults::default()).await;
    stage.long_ago().await;
    // Most of the time is over.
    let running = stage.run_without(3, limits::QUIET - TimeDelta::seconds(6));
    stage
        .until("people to be told", async || {
            matches!(stage.phase().await, Phase::Degraded { reasons } if reasons[0].contains("has not reported for 2"))
        })
        .await;
    running.end().await;
}

/// A machine that took minutes to start reports to one control, and the other looks before it hears of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_first_report_another_control_has_just_written_down_is_not_silent() {
    let stage = Stage::running(Faults::default()).await;
    stage.long_ago().await;
    stage
        .execute("update nodes set reported_at = now() where role = 'worker'")
        .await;
    // It has heard nobody for longer than anybody may be silent; the web node's silence shows that it looks.
    let running = stage.run_without(3, limits::SILENT_ALL + TimeDelta::seconds(5));
    stage
        .until("the others to be replaced", async || {
            stage.provider.machines().len() == 5
        })
        .await;
    running.end().await;
    let replaced: Vec<_> = stage.provider.machines()[3..]
        .iter()
        .map(|machine| machine.role)
        .collect();
    assert!(!replaced.contains(&NodeRole::Worker), "{replaced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_nodes_those_that_say_nothing_are_replaced_if_they_are_few() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    stage.scale(WORKERS).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(stage.provider.live().len(), NODES);
    running.end().await;
    stage.long_ago().await;

    let nearly = limits::SILENT - TimeDelta::seconds(5);
    let running = stage.run_without(NODES / 10 + 1, nearly);
    stage
        .until("a look after their time", async || {
            let reasons = stage.reasons().await;
            reasons.iter().any(|reason| reason.contains("silent for 9"))
        })
        .await;
    running.end().await;
    assert_eq!(stage.provider.machines().len(), NODES, "nobody was replaced");

    let running = stage.run_without(NODES / 10, nearly);
    stage
        .until("the nodes in their place", async || {
            stage.provider.machines().len() == NODES + NODES / 10
        })
        .await;
    running.end().await;
}
