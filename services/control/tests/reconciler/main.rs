//! The reconciler over a real Postgres and the simulated provider: whatever dies, clusters get where they were asked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod agents;
mod ended;
mod kept;
mod keys;
mod killed;
mod rarely;
mod restored;
mod silence;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use stage::Stage;
use tokio_util::sync::CancellationToken;
use updraft_model::{NodeAccount, NodeRole, OperationKind, OperationState, Phase, Power};
use updraft_provider::simulated::Faults;
use updraft_provider::{NodeProvider as _, ProviderError};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_launches_every_node_once_and_runs() {
    let stage = Stage::new(Faults::default()).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run();
    stage.reaches(&Phase::Running).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(stage.provider.machines().len(), 3);
    assert!(stage.nodes_say_whose_they_are().await);
    let steps = stage.steps().await;
    for id in [
        "database",
        "storage",
        "scheduler-1/launch",
        "web-1/ready",
        "worker-1/report",
    ] {
        assert!(
            steps
                .iter()
                .any(|step| step.id == id && step.finished_at.is_some()),
            "{id} in {steps:#?}"
        );
    }
    assert_eq!(stage.events("phase_changed").await, 2);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains_workers_before_what_they_need_and_keeps_the_database() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert!(stage.provider.live().is_empty());
    assert!(stage.has_metadata_database().await);
    let stopped = stage.stop_times().await;
    assert!(
        stopped
            .iter()
            .all(|(role, at)| role == "worker" || *at > stopped["worker"]),
        "{stopped:?}"
    );
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_a_tenant_brings_is_neither_made_nor_dropped() {
    let stage = Stage::new(Faults::default()).await;
    stage.brings_a_database().await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run();
    stage.reaches(&Phase::Running).await;
    assert!(!stage.has_metadata_database().await);
    assert!(stage.steps().await.iter().all(|step| step.id != "database"));
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage.is_deleted().await;
    assert_eq!(stage.events("metadata_database_kept").await, 1);
    assert_eq!(stage.secrets().await, 0);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_leaves_nothing() {
    let stage = Stage::running(Faults {
        slow: 2,
        ..Faults::default()
    })
    .await;
    let running = stage.run();
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage.is_deleted().await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert!(stage.provider.live().is_empty());
    assert!(stage.provider.networks().is_empty());
    assert!(!stage.has_metadata_database().await);
    assert!(!stage.storage.has(stage.cluster));
    assert_eq!(stage.secrets().await, 0);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_is_replaced_once_and_told() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    stage.provider.lose(&stage.provider.live()[2].id);
    stage.wake().await;
    stage
        .until("a new node", async || stage.provider.machines().len() == 4)
        .await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.provider.live().len(), 3);
    assert_eq!(stage.events("node_lost").await, 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_about_to_be_taken_back_is_replaced_once_and_told() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    let mut live = stage.provider.live().into_iter();
    let worker = live.find(|machine| machine.role == NodeRole::Worker).unwrap();
    stage.give_notice(worker.node);
    stage
        .until("it is gone", async || {
            stage
                .provider
                .live()
                .iter()
                .all(|machine| machine.id != worker.id)
        })
        .await;
    stage.reaches(&Phase::Running).await;
    stage
        .until("another", async || stage.provider.live().len() == 3)
        .await;
    assert_eq!(stage.provider.machines().len(), 4);
    let told = (
        stage.events("node_reclaimed").await,
        stage.events("node_lost").await,
    );
    assert_eq!(told, (1, 0));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_switched_off_start_again_as_the_same_nodes() {
    let stage = Stage::running(Faults::default()).await;
    for machine in stage.provider.live() {
        stage.provider.switch_off(&machine.id);
    }
    let running = stage.run();
    stage.wake().await;
    stage
        .until("all started", async || {
            stage.provider.live().iter().all(stage::is_up)
        })
        .await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.provider.machines().len(), 3);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_in_takes_the_highest_worker_and_scaling_out_adds_it_again() {
    let stage = Stage::new(Faults::default()).await;
    stage.scale(3).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run();
    stage.reaches(&Phase::Running).await;
    stage.operation_ends(OperationState::Succeeded).await;
    stage.scale(1).await;
    stage.operation_ends(OperationState::Succeeded).await;
    let workers = |stage: &Stage| {
        stage
            .provider
            .live()
            .iter()
            .filter(|m| m.role.as_str() == "worker")
            .count()
    };
    assert_eq!(workers(&stage), 1);
    assert_eq!(stage.phase().await, Phase::Running);
    stage.scale(2).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(workers(&stage), 2);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_tag_touches_no_node() {
    let stage = Stage::running(Faults::default()).await;
    let machines = |stage: &Stage| {
        let mut nodes: Vec<_> = stage.provider.machines().iter().map(|m| m.node).collect();
        nodes.sort();
        nodes
    };
    let before = machines(&stage);
    let running = stage.run();
    stage.retag("env", "prod").await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(machines(&stage), before);
    assert_eq!(stage.events("node_lost").await, 0);
    assert_eq!(stage.phase().await, Phase::Running);
    assert!(stage.never_stopped().await);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_when_every_agent_has_taken_up_its_new_assignment() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    stage.ask(OperationKind::Restart, Power::Running).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(stage.provider.machines().len(), 3);
    assert_eq!(stage.phase().await, Phase::Running);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reached_quota_fails_the_start_with_its_remedy() {
    let stage = Stage::new(Faults::default()).await;
    let quota = || ProviderError::Quota("8 of 8 instances".to_owned());
    stage.provider.fail_launches((0..12).map(|_| quota()).collect());
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run();
    stage.operation_ends(OperationState::Failed).await;
    let Phase::Failed { reason } = stage.phase().await else {
        panic!("{:?}", stage.phase().await)
    };
    assert_eq!(reason.code, "node_launch_failed");
    assert!(reason.message.contains("8 of 8") && !reason.remedy.is_empty());
    // The quota is raised: it gets there by itself.
    stage.provider.fail_launches(Vec::new());
    stage.reaches(&Phase::Running).await;
    running.end().await;
}

/// Once the driver died, another sees the machine run, long after its agent was heard last.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_answer_was_lost_gives_the_node_its_time_to_report() {
    let stage = Stage::running(Faults::default()).await;
    let machines = stage.provider.live();
    for machine in &machines {
        stage.provider.switch_off(&machine.id);
    }
    stage.long_ago().await;
    stage.provider.set_faults(Faults {
        answer_lost: 100,
        ..Faults::default()
    });
    stage.wake().await;
    stage.reconciler().look_at_one_due().await.unwrap();
    let answers: Vec<_> = stage.launch_ages_s().await;
    assert!(answers.iter().all(|age| *age < 60), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_at_once_never_double_a_node() {
    let faults = Faults {
        answer_lost: 20,
        throttled: 20,
        slow: 1,
        listed_after: 1,
        ..Faults::default()
    };
    let stage = Stage::new(faults).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let (one, other) = (stage.run(), stage.run());
    stage.reaches(&Phase::Running).await;
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.provider.live().len(), 3);
    assert_eq!(
        stage.provider.machines().len(),
        6,
        "doubled: {:?}",
        stage.provider.machines()
    );
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_slept_through_its_lease_writes_nothing() {
    let stage = Stage::new(Faults::default()).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let late = Arc::new(stage.reconciler_with_lease(Duration::ZERO));
    // Its lease is over as soon as it has it: another takes the cluster while it looks.
    let running = stage.run();
    let sleeper = tokio::spawn(async move {
        for _ in 0..20 {
            late.look_at_one_due().await.unwrap();
        }
    });
    stage.reaches(&Phase::Running).await;
    sleeper.await.unwrap();
    assert_eq!(stage.provider.machines().len(), 3);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_deleted_cluster_that_turns_up_late_is_ended() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage.is_deleted().await;
    stage.late_launch().await;
    assert_eq!(stage.provider.live().len(), 1);
    stage
        .until("the stray to end", async || stage.provider.live().is_empty())
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_a_deleted_cluster_that_turns_up_late_is_removed() {
    let stage = Stage::running(Faults::default()).await;
    assert_eq!(stage.provider.networks().len(), 1);
    let running = stage.run();
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage.is_deleted().await;
    stage.late_network().await;
    assert_eq!(stage.provider.networks().len(), 1);
    stage
        .until("the stray to go", async || stage.provider.networks().is_empty())
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_outlives_its_node_is_deleted_once_that_is_gone() {
    let stage = Stage::running(Faults::default()).await;
    let left = async || {
        let left = stage.provider.left_volumes(NodeAccount::Installation).await;
        left.unwrap().len()
    };
    let node = stage.provider.live()[2].id.clone();
    stage.provider.keep_volume(&node);
    stage.provider.lose(&node);
    assert_eq!(left().await, 1);
    let running = stage.run();
    stage.until("the volume to go", async || left().await == 0).await;
    stage.reaches(&Phase::Running).await;
    assert_eq!(stage.provider.machines().len(), 4, "its node was replaced");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_where_no_node_can_be_fails_before_the_first_of_them() {
    let stage = Stage::new(Faults::default()).await;
    let refused = ProviderError::Refused("subnets: subnet-1 is not there; correct `subnets`".to_owned());
    stage.provider.fail_preparing(vec![refused]);
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run();
    stage.operation_ends(OperationState::Failed).await;
    assert!(stage.provider.machines().is_empty());
    let steps = stage.steps().await;
    let network = steps.iter().find(|step| step.id == "network").unwrap();
    assert!(
        network.detail.as_ref().unwrap().contains("correct `subnets`"),
        "{network:?}"
    );
    // Somebody corrected it: it was looked at again by itself.
    stage.reaches(&Phase::Running).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_stop_looks_at_the_network_again() {
    let stage = Stage::running(Faults::default()).await;
    let running = stage.run();
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    assert_eq!(stage.provider.networks().len(), 1, "it stays");
    let refused = ProviderError::Refused("subnets: there is no way to S3".to_owned());
    stage.provider.fail_preparing(vec![refused]);
    let before = stage.provider.machines().len();
    stage.ask(OperationKind::Start, Power::Running).await;
    stage.operation_ends(OperationState::Failed).await;
    assert_eq!(stage.provider.machines().len(), before);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_ends_the_loop() {
    let stage = Stage::new(Faults::default()).await;
    let shutdown = CancellationToken::new();
    let loop_ = tokio::spawn(Arc::new(stage.reconciler()).run(shutdown.clone()));
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), loop_)
        .await
        .unwrap()
        .unwrap();
}
