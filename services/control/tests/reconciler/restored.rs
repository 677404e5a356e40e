//! Control's database is restored from a backup, and the world is younger than it: nothing is ended until an operator
//! confirms it.

use updraft_model::{OperationKind, OperationState, Phase, Power};
use updraft_provider::NodeStatus;
use updraft_provider::simulated::{Faults, Machine};

use crate::stage::{Running, Stage};

impl Stage {
    /// Its worker was replaced and another added since the backup was made.
    async fn restored() -> (Self, Running) {
        let stage = Self::running(Faults::default()).await;
        let dump = stage.dump().await;
        let running = stage.run();
        stage.provider.lose(&stage.provider.live()[2].id);
        stage.scale(2).await;
        stage
            .until("two new workers", async || stage.provider.live().len() == 4)
            .await;
        stage.reaches(&Phase::Running).await;
        stage.operation_ends(OperationState::Succeeded).await;
        running.end().await;
        stage.restore(&dump).await;
        let running = stage.run();
        (stage, running)
    }

    fn ended(&self) -> usize {
        let machines: Vec<Machine> = self.provider.machines();
        machines.iter().filter(|m| m.status == NodeStatus::Gone).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_is_recognised_and_ends_and_starts_nothing() {
    let (stage, running) = Stage::restored().await;
    stage
        .until("the hold", async || {
            stage.hold().await.is_some_and(|hold| hold.strays.len() == 2)
        })
        .await;
    assert_eq!(stage.events("held_after_restore").await, 1);
    // Even what is asked for now waits.
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage
        .until("a look", async || stage.phase().await == Phase::Deleting)
        .await;
    stage
        .until("a pause", async || stage.next_look_s().await > 5)
        .await;
    assert_eq!((stage.provider.machines().len(), stage.ended()), (5, 1));
    assert!(stage.has_metadata_database().await && stage.storage.has(stage.cluster));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_confirmed_the_unknown_nodes_end_and_what_was_asked_for_comes_about() {
    let (stage, running) = Stage::restored().await;
    stage
        .until("the hold", async || stage.hold().await.is_some())
        .await;
    let hold = stage.hold().await.unwrap();
    stage.confirm(&hold).await;
    stage
        .until("the unknown nodes' end", async || {
            let live = stage.provider.live();
            live.len() == 3
                && hold
                    .strays
                    .iter()
                    .all(|stray| live.iter().all(|m| m.node != stray.node))
        })
        .await;
    stage.reaches(&Phase::Running).await;
    assert!(stage.hold().await.is_none());
    running.end().await;
}

/// A cluster without unknown nodes works, and comes up if it has to; but nothing of it is ended either.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_not_yet_compared_ends_nothing() {
    let (stage, running) = Stage::restored().await;
    running.end().await;
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reconciler().look_at_one_due().await.unwrap();
    assert_eq!(stage.ended(), 1);
    assert!(stage.never_stopped().await);
}

/// The metadata database and the bucket of a cluster that was made since the backup may still be there.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_clusters_that_the_backup_does_not_know_are_not_given_again() {
    let (stage, running) = Stage::restored().await;
    stage
        .until("the hold", async || stage.hold().await.is_some())
        .await;
    assert!(stage.next_cluster().await > stage.cluster.0 + 1000);
    running.end().await;
}
