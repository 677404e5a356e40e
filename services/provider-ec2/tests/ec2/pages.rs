//! Lists that EC2 gives in several pages: each is read to its end.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use updraft_model::{ClusterId, NodeAccount, NodeRole};
use updraft_provider::{NodeProvider as _, NodeStatus, ProviderId};
use updraft_provider_ec2::Ec2Provider;

use crate::datacentre::{ACCOUNT, DataCentre, REGION, cluster, launch, wanted};
use crate::laws::until;

/// A page that is asked for again and again is none that ends.
const ENDS: Duration = Duration::from_secs(20);

#[tokio::test]
async fn volumes_groups_and_failing_checks_are_listed_to_their_last_page() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    centre.ask("pace", json!({"page_at_most": 2})).await;
    let provider = centre.provider().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(launch(&provider, &wanted(1, NodeRole::Worker)).await.unwrap().id);
    }
    timeout(ENDS, failing_checks(&centre, &provider, &ids))
        .await
        .unwrap();
    timeout(ENDS, volumes(&centre, &provider, &ids)).await.unwrap();
    timeout(ENDS, groups(&centre)).await.unwrap();
}

async fn failing_checks(centre: &DataCentre, provider: &Ec2Provider, ids: &[ProviderId]) {
    for id in ids {
        until(async || provider.describe(id).await == Ok(NodeStatus::Running)).await;
        centre.impair(id, "system", 6).await;
    }
    let listed = provider.list(None).await.unwrap();
    let impaired = |id: &ProviderId| {
        listed
            .iter()
            .any(|node| node.id == *id && node.status == NodeStatus::Impaired)
    };
    assert!(ids.iter().all(impaired), "{listed:?}");
    // Two pages of those whose system fails, and one of nobody's instance.
    assert_eq!(centre.calls("DescribeInstanceStatus").await, 3);
}

async fn volumes(centre: &DataCentre, provider: &Ec2Provider, ids: &[ProviderId]) {
    for id in ids {
        let kept = json!({"account": ACCOUNT, "region": REGION, "instance": id.0});
        centre.ask("keep-volume", kept).await;
        provider.terminate(id).await.unwrap();
    }
    until(async || centre.live().await == 0).await;
    let before = centre.calls("DescribeVolumes").await;
    let left = provider.left_volumes(NodeAccount::Installation).await.unwrap();
    assert_eq!(
        (left.len(), centre.calls("DescribeVolumes").await - before),
        (3, 2)
    );
}

async fn groups(centre: &DataCentre) {
    let provider = centre.provider_with(centre.config_without_groups().await).await;
    let clusters = [1, 2, 3].map(ClusterId);
    for ClusterId(number) in clusters {
        until(async || provider.prepare_cluster(&cluster(number)).await.is_ok()).await;
    }
    until(async || provider.prepared_clusters().await == Ok(clusters.to_vec())).await;
    let before = centre.calls("DescribeSecurityGroups").await;
    provider.prepared_clusters().await.unwrap();
    assert_eq!(centre.calls("DescribeSecurityGroups").await - before, 2);
}
