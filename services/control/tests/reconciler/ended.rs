//! Nodes that the provider ends by itself after it took their launch: the operation that waits for them says why.

use updraft_model::{Failure, OperationKind, OperationState, Phase, Power};
use updraft_provider::ProviderError;
use updraft_provider::simulated::Faults;

use crate::killed::Operation;
use crate::stage::Stage;

/// After so many looks everything is launched.
const LOOKS: usize = 20;

fn refused() -> ProviderError {
    ProviderError::Refused("the KMS key is disabled; enable it".to_owned())
}

fn quota() -> ProviderError {
    ProviderError::Quota("the volume limit is reached; have it raised".to_owned())
}

// === impl Stage ===

impl Stage {
    /// A start whose nodes are all launched, and none of them heard.
    async fn waits_for_reports(&self) {
        self.brings_a_database().await;
        self.ask(OperationKind::Start, Power::Running).await;
        self.looks_until_launched(3).await;
    }

    async fn looks_until_launched(&self, ever: usize) {
        let reconciler = self.reconciler_at_once();
        for _ in 0..LOOKS {
            self.wake().await;
            reconciler.look_at_one_due().await.unwrap();
            if self.provider.machines().len() == ever {
                return;
            }
        }
        panic!("never launched: {:?}", self.provider.machines());
    }

    /// The scheduler's, always the first to be launched.
    fn end_a_node(&self, why: ProviderError) {
        let unheard = self.provider.live().into_iter();
        let scheduler = unheard.min_by_key(|machine| machine.role.as_str() != "scheduler");
        self.provider.lose_saying(&scheduler.unwrap().id, why);
    }

    async fn failure(&self) -> Failure {
        let failure: serde_json::Value = self
            .value("select failure from operations where failure is not null")
            .await;
        serde_json::from_value(failure).unwrap()
    }

    async fn reasons_kept(&self) -> i64 {
        self.value("select count(*) from nodes where launch_failure is not null")
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_a_node_while_it_started_is_told_with_its_loss() {
    let faults = Faults {
        slow: 1_000_000,
        ..Faults::default()
    };
    let stage = Stage::new(faults).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run();
    stage
        .until("three nodes", async || stage.provider.live().len() == 3)
        .await;
    let why = ProviderError::Quota("the volume limit is reached; have it raised".to_owned());
    let lost = stage.provider.live().remove(0);
    stage.provider.lose_saying(&lost.id, why);
    stage.wake().await;
    stage
        .until("a new node", async || stage.provider.machines().len() == 4)
        .await;
    let told = "select count(*) from events where kind = 'node_lost' and message like \
                '%ended while it started%: the volume limit is reached; have it raised.'";
    assert_eq!(stage.value::<i64>(told).await, 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_nodes_the_provider_ends_fails_with_its_reason_and_what_to_do() {
    let stage = Stage::still().await;
    stage.waits_for_reports().await;
    stage.end_a_node(quota());
    stage.looks_until_launched(4).await;
    assert_eq!(
        stage.operation_state().await,
        "running",
        "it may have been the last"
    );

    // The second in a row, and a process that has seen neither.
    stage.end_a_node(quota());
    let mut stage = stage;
    stage.is_heard_by_another_process();
    stage.wake().await;
    stage.reconciler_at_once().look_at_one_due().await.unwrap();
    stage.operation_ends(OperationState::Failed).await;
    let failure = stage.failure().await;
    assert_eq!(failure.code, "node_launch_failed");
    assert_eq!(
        failure.message,
        "scheduler-1 could not be launched: the account's quota is reached: the volume limit is reached; have it raised"
    );
    assert!(
        failure.remedy.starts_with("Raise the account's quota"),
        "{failure:?}"
    );
    assert_eq!(stage.phase().await, Phase::Failed { reason: failure });
    assert_eq!(stage.events("operation_failed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_a_start_fails_no_later_one_that_is_asked_for_once_it_is_put_right() {
    let stage = Stage::still().await;
    stage.waits_for_reports().await;
    stage.end_a_node(refused());
    stage.settles().await;
    stage.operation_ends(OperationState::Failed).await;
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.settles().await;
    stage.starts().await;
    stage.operation_ends(OperationState::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_why_a_start_failed_survives_death_anywhere() {
    Operation {
        name: "start whose node is ended for good",
        boundaries: 12,
        changes: &["update nodes set launch_failure"],
        ends: OperationState::Failed,
        before: async |stage: &Stage| stage.waits_for_reports().await,
        ask: async |stage: &Stage| stage.end_a_node(refused()),
        whole: async |stage: &Stage, ()| {
            let failure = stage.failure().await;
            assert!(
                failure.message.ends_with("the KMS key is disabled; enable it"),
                "{failure:?}"
            );
            assert_eq!(
                (stage.reasons_kept().await, stage.events("node_lost").await),
                (1, 1)
            );
        },
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_node_that_lacked_capacity_once_survives_death_anywhere() {
    Operation {
        name: "start whose node is ended once",
        boundaries: 12,
        changes: &["update nodes set launch_failure", "provider: launch"],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| stage.waits_for_reports().await,
        ask: async |stage: &Stage| stage.end_a_node(ProviderError::Capacity("none left".to_owned())),
        whole: async |stage: &Stage, ()| {
            stage.assert_runs_on(3, 4).await;
            assert_eq!(
                (stage.reasons_kept().await, stage.events("node_lost").await),
                (1, 1)
            );
        },
    }
    .survives_death_anywhere()
    .await;
}
