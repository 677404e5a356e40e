//! Machines that are kept while their cluster is stopped.

use updraft_model::{OperationKind, OperationState, Phase, Power};
use updraft_provider::NodeStatus;
use updraft_provider::simulated::Faults;

use crate::stage::Stage;

impl Stage {
    async fn choose(&self, on_stop: &str) {
        self.execute(&format!(
            "update clusters set spec = jsonb_set(spec, '{{on_stop}}', '\"{on_stop}\"')"
        ))
        .await;
    }

    fn machines_in(&self, status: NodeStatus) -> usize {
        let machines = self.provider.machines();
        machines.iter().filter(|machine| machine.status == status).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_keeps_its_machines_starts_the_same_ones_and_gives_them_up_when_it_says_so() {
    let stage = Stage::running(Faults::default()).await;
    stage.choose("keep").await;
    let running = stage.run();
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(stage.machines_in(NodeStatus::Stopped), 3);

    stage.ask(OperationKind::Start, Power::Running).await;
    stage.reaches(&Phase::Running).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(stage.machines_in(NodeStatus::Running), 3);
    assert_eq!(stage.provider.machines().len(), 3, "another machine was made");
    assert!(stage.never_stopped().await);

    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    stage.choose("end").await;
    stage.ask(OperationKind::Update, Power::Stopped).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert!(stage.provider.live().is_empty());
    assert_eq!(stage.events("node_lost").await, 0);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_choice_holds_for_its_clusters_that_made_none() {
    let stage = Stage::running(Faults::default()).await;
    stage
        .execute(
            "insert into aws_accounts (id, tenant_id, name, external_id, config)
             select gen_random_uuid(), id, 'production', 'updraft-1', '{\"on_stop\": \"keep\"}' from tenants;
             update clusters set aws_account_id = (select id from aws_accounts)",
        )
        .await;
    let running = stage.run();
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    assert_eq!(stage.machines_in(NodeStatus::Stopped), 3);
    stage.choose("end").await;
    stage.ask(OperationKind::Update, Power::Stopped).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert!(stage.provider.live().is_empty());
    running.end().await;
}
