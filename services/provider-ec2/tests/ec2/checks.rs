//! EC2's own checks of instances.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use updraft_model::NodeRole;
use updraft_provider::{NodeProvider as _, NodeStatus, ProviderId};
use updraft_provider_ec2::Ec2Provider;

use crate::datacentre::{DataCentre, launch, wanted};
use crate::laws::until;

impl DataCentre {
    pub(crate) async fn impair(&self, id: &ProviderId, check: &str, minutes_ago: i64) {
        let since = (Utc::now() - TimeDelta::minutes(minutes_ago)).to_rfc3339();
        let asked = json!({"instance": id.0, "check": check, "since": since});
        self.ask("impair", asked).await;
    }
}

async fn statuses<const N: usize>(provider: &Ec2Provider, ids: [&ProviderId; N]) -> [Option<NodeStatus>; N] {
    let listed = provider.list(None).await.unwrap();
    ids.map(|id| listed.iter().find(|node| node.id == *id).map(|node| node.status))
}

#[tokio::test]
async fn an_instance_that_has_failed_a_check_for_minutes_is_listed_as_impaired() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    let [system, instance, lately] = [
        launch(&provider, &wanted(1, NodeRole::Scheduler))
            .await
            .unwrap()
            .id,
        launch(&provider, &wanted(1, NodeRole::Web)).await.unwrap().id,
        launch(&provider, &wanted(1, NodeRole::Worker)).await.unwrap().id,
    ];
    let all = [&system, &instance, &lately];
    until(async || statuses(&provider, all).await == [Some(NodeStatus::Running); 3]).await;
    centre.impair(&system, "system", 6).await;
    centre.impair(&instance, "instance", 6).await;
    centre.impair(&lately, "system", 4).await;

    // Another process of control, which has not asked yet.
    let other = centre.provider().await;
    let found = statuses(&other, all).await;
    let (impaired, running) = (Some(NodeStatus::Impaired), Some(NodeStatus::Running));
    assert_eq!(found, [impaired, impaired, running]);

    // EC2 looks each minute, and is not asked more often.
    let before = centre.calls("DescribeInstanceStatus").await;
    other.terminate(&system).await.unwrap();
    until(async || statuses(&other, [&system]).await == [None]).await;
    assert_eq!(statuses(&other, [&instance]).await, [impaired]);
    assert_eq!(centre.calls("DescribeInstanceStatus").await, before);
}

#[tokio::test]
async fn nodes_are_listed_where_their_checks_are_not_told() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    centre
        .fault("DescribeInstanceStatus", "UnauthorizedOperation", 403, 1)
        .await;
    let id = launch(&provider, &wanted(1, NodeRole::Web)).await.unwrap().id;
    until(async || statuses(&provider, [&id]).await == [Some(NodeStatus::Running)]).await;
    assert_eq!(centre.calls("DescribeInstanceStatus").await, 1);
}
