//! What control relies on: the contract, and what EC2 adds to it.

use std::time::{Duration, Instant};

use serde_json::json;
use updraft_model::{ClusterId, NodeRole};
use updraft_provider::contract::{self, MOMENT, Subject as _};
use updraft_provider::{ClientToken, LaunchRequest, NodeProvider as _, NodeStatus, ProviderError};

use crate::datacentre::{DataCentre, On, boot, launch, wanted};

#[tokio::test]
async fn it_keeps_the_contract() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let subject = On {
        provider: centre.provider().await,
    };
    contract::check(&subject, ClusterId(1), ClusterId(2))
        .await
        .unwrap();
    assert_eq!(centre.live().await, 0, "instances were left behind");
}

#[tokio::test]
async fn nothing_is_doubled_or_lost_when_calls_go_wrong() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;

    // The call takes effect, its answer is lost: it is asked again, and is the same instance.
    centre
        .ask(
            "fault",
            json!({"action": "RunInstances", "answer_lost": true, "times": 2}),
        )
        .await;
    let node = wanted(1, NodeRole::Web);
    let launched = launch(&provider, &node).await.unwrap();
    assert_eq!((centre.live().await, centre.calls("RunInstances").await), (1, 3));
    let tags = json!({
        "Name": "updraft-1-web-1",
        "updraft:installation": "test",
        "updraft:cluster": "1",
        "updraft:node": node.node.to_string(),
        "updraft:role": "web",
        "updraft:tenant": "00000000-0000-0000-0000-00000000acce",
        "updraft:generation": "3",
        "updraft:fence": "12",
    });
    assert_eq!(centre.tags(&launched.id).await, tags);

    // A control that was restarted with other settings sends what was kept.
    let request = provider.prepare(&node).await.unwrap();
    let request = LaunchRequest(serde_json::from_str(&request.0.to_string()).unwrap());
    let mut config = centre.config().await;
    config["web"]["instance_type"] = json!("m6i.2xlarge");
    config["archives"][0]["sha256"] = json!("1".repeat(64));
    let restarted = centre.provider_with(config).await;
    let again = restarted
        .launch(&request, &ClientToken::of(node.node), &boot(node.node))
        .await;
    assert_eq!(again, Ok(launched.clone()));

    // Throttled and failing now and then, it gets there all the same.
    centre
        .fault("DescribeInstances", "RequestLimitExceeded", 503, 1)
        .await;
    centre.fault("TerminateInstances", "InternalError", 500, 1).await;
    until(async || provider.describe(&launched.id).await == Ok(NodeStatus::Running)).await;
    provider.terminate(&launched.id).await.unwrap();
    until(async || centre.live().await == 0).await;

    // A token is spent with its instance.
    until(async || provider.describe(&launched.id).await == Ok(NodeStatus::Gone)).await;
    let spent = provider
        .launch(&request, &ClientToken::of(node.node), &boot(node.node))
        .await;
    assert!(matches!(spent, Err(ProviderError::Refused(_))), "{spent:?}");
    let others = ClientToken::of(wanted(1, NodeRole::Web).node);
    let others = provider.launch(&request, &others, &boot(node.node)).await;
    assert!(matches!(others, Err(ProviderError::Refused(_))), "{others:?}");
}

#[tokio::test]
async fn one_list_by_pages_serves_all_clusters() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    let mut config = centre.config().await;
    config["installation"] = json!("other");
    let other = centre.provider_with(config).await;

    // As new instances are: made, and not yet in the list.
    centre.ask("pace", json!({"listed_after": 0.6})).await;
    let first = launch(&provider, &wanted(1, NodeRole::Scheduler)).await.unwrap();
    assert_eq!(provider.describe(&first.id).await, Ok(NodeStatus::Unknown));
    assert_eq!(provider.list(None).await, Ok(Vec::new()));
    launch(&other, &wanted(1, NodeRole::Scheduler)).await.unwrap();
    for cluster in 2..=4 {
        launch(&provider, &wanted(cluster, NodeRole::Worker))
            .await
            .unwrap();
    }
    until(async || provider.list(None).await.is_ok_and(|listed| listed.len() == 4)).await;
    assert_eq!(
        other.list(None).await.unwrap().len(),
        1,
        "an installation lists its own"
    );
    let subject = On { provider };
    subject.pass_time().await;

    // Fifty clusters that look at the same time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = centre.calls("DescribeInstances").await;
    let looks = (1..=50).map(|cluster| subject.provider.list(Some(ClusterId(cluster))));
    let seen: usize = futures::future::join_all(looks)
        .await
        .into_iter()
        .map(|nodes| nodes.unwrap().len())
        .sum();
    assert_eq!((seen, centre.calls("DescribeInstances").await - before), (4, 1));

    // One that somebody ended by hand is gone at once from the next list.
    centre.ask("lose", json!({"instance": first.id.0})).await;
    until(async || subject.provider.list(Some(ClusterId(1))).await == Ok(Vec::new())).await;
    assert_eq!(subject.provider.describe(&first.id).await, Ok(NodeStatus::Gone));
}

pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came to be");
        tokio::time::sleep(MOMENT).await;
    }
}
