//! A cluster that is as it should be is looked at rarely, and what happens to it is noticed as quickly as ever.

use updraft_model::Phase;
use updraft_provider::NodeStatus;
use updraft_provider::simulated::Faults;

use crate::stage::{self, Running, Stage};

/// Nobody would look for so long.
const LONG_S: i64 = 200;

impl Stage {
    /// A cluster that nobody has a reason to look at.
    async fn steady() -> (Self, Running) {
        let stage = Self::running(Faults::default()).await;
        let running = stage.run_without_sweeps();
        stage.wake().await;
        stage
            .until("a long pause", async || stage.next_look_s().await > LONG_S)
            .await;
        (stage, running)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_by_itself_is_replaced_at_once() {
    let (stage, running) = Stage::steady().await;
    stage.provider.lose(&stage.provider.live()[2].id);
    stage
        .until("a new node", async || stage.provider.machines().len() == 4)
        .await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.events("node_lost").await, 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_switched_off_is_started_at_once() {
    let (stage, running) = Stage::steady().await;
    stage.provider.switch_off(&stage.provider.live()[0].id);
    stage
        .until("all up", async || stage.provider.live().iter().all(stage::is_up))
        .await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.provider.machines().len(), 3);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_fail_their_providers_checks_are_replaced_at_once() {
    let (stage, running) = Stage::steady().await;
    let nodes = stage.provider.live();
    stage.provider.impair(&nodes[0].id);
    stage.provider.impair(&nodes[2].id);
    stage
        .until("two new nodes", async || {
            let live = stage.provider.live();
            live.len() == 3 && live.iter().all(|machine| machine.status == NodeStatus::Running)
        })
        .await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.provider.machines().len(), 5);
    assert_eq!(stage.events("node_lost").await, 2);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_turns_up_late_is_ended_at_once() {
    let (stage, running) = Stage::steady().await;
    stage.scale(2).await;
    stage
        .until("a second worker", async || stage.provider.live().len() == 4)
        .await;
    stage.reaches(&Phase::Running).await;
    stage.scale(1).await;
    stage
        .until("a long pause", async || stage.next_look_s().await > LONG_S)
        .await;
    stage.late_launch().await;
    stage
        .until("the stray to end", async || stage.provider.live().len() == 3)
        .await;
    running.end().await;
}

/// The sweep makes up for a change that no process saw happen.
#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_control_was_down_is_noticed_by_the_next() {
    let (stage, running) = Stage::steady().await;
    running.end().await;
    stage.provider.lose(&stage.provider.live()[1].id);
    let running = stage.run_without_sweeps();
    stage
        .until("a new node", async || stage.provider.machines().len() == 4)
        .await;
    stage.reaches(&Phase::Running).await;
    running.end().await;
}

/// Another process sees it: it drives the cluster itself, or wakes who does.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_either_notices() {
    let (stage, one) = Stage::steady().await;
    let other = stage.run_without_sweeps();
    stage.provider.lose(&stage.provider.live()[2].id);
    stage
        .until("a new node", async || stage.provider.machines().len() == 4)
        .await;
    one.end().await;
    stage.provider.lose(&stage.provider.live()[0].id);
    stage
        .until("a new node", async || stage.provider.machines().len() == 5)
        .await;
    stage.reaches(&Phase::Running).await;
    other.end().await;
}
