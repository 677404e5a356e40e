//! What control relies on: the contract, and what EC2 adds to it.

use std::time::{Duration, Instant};

use serde_json::json;
use updraft_model::{ClusterId, NodeRole};
use updraft_provider::contract::{self, MOMENT, Subject as _};
use updraft_provider::{ClientToken, LaunchRequest, NodeProvider as _, NodeStatus, ProviderError};

use crate::datacentre::{DataCentre, On, REGION, boot, launch, wanted};

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
async fn a_launch_whose_answer_was_lost_is_found_again_once_its_addresses_are_others() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let keys = tempfile::tempdir().unwrap();
    // Each session of Updraft's role signs other addresses for the same objects.
    let in_session = async |name: &str| {
        let file = keys.path().join(name);
        let written = json!({"access_key": name, "secret_key": "secret"}).to_string();
        std::fs::write(&file, written).unwrap();
        let mut config = centre.config().await;
        config["artifacts"] = json!({"bucket": "artifacts", "region": REGION, "keys_file": file});
        config["archives"] =
            json!([{"sha256": "0".repeat(64), "directory": "agent", "key": "archives/agent.tar.gz"}]);
        centre.provider_with(config).await
    };
    let node = wanted(1, NodeRole::Web);
    let token = ClientToken::of(node.node);
    let before = in_session("BEFORE").await;
    let request = before.prepare(&node).await.unwrap();
    let lost = json!({"action": "RunInstances", "answer_lost": true, "times": 5});
    centre
        .ask("pace", json!({"listed_after": 4.0, "pending_for": 0.0}))
        .await;
    centre.ask("fault", lost).await;
    let unclear = before.launch(&request, &token, &boot(node.node)).await;
    assert!(matches!(unclear, Err(ProviderError::Unclear(_))), "{unclear:?}");
    assert_eq!((centre.live().await, centre.calls("RunInstances").await), (1, 5));

    // Until EC2 lists it, nothing is known of it; then it is the node, and there is no other.
    let after = in_session("AFTER").await;
    let (mut found, mut not_yet) = (None, 0);
    until(async || {
        match after.launch(&request, &token, &boot(node.node)).await {
            Ok(launched) => found = Some(launched),
            Err(ProviderError::Unclear(_)) => not_yet += 1,
            Err(error) => panic!("{error:?}"),
        }
        found.is_some()
    })
    .await;
    let found = found.unwrap();
    assert!(not_yet > 0, "it was listed before anybody could have missed it");
    assert_eq!(
        centre.tags(&found.id).await["updraft:node"],
        node.node.to_string()
    );
    assert_eq!(centre.live().await, 1);
    let same = before.launch(&request, &token, &boot(node.node)).await;
    assert_eq!(same, Ok(found.clone()), "the same addresses get EC2's own answer");

    // A token is spent with its instance, by whatever addresses.
    after.terminate(&found.id).await.unwrap();
    until(async || centre.live().await == 0).await;
    let spent = after.launch(&request, &token, &boot(node.node)).await;
    assert!(matches!(spent, Err(ProviderError::Refused(_))), "{spent:?}");
    assert_eq!(centre.live().await, 0);
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

    // As new instances are: made, and not yet in the list. EC2 gives less at once than it is asked for.
    centre
        .ask("pace", json!({"listed_after": 0.6, "page_at_most": 2}))
        .await;
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

    // Fifty clusters that look at the same time: one list, of two pages.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = centre.calls("DescribeInstances").await;
    let looks = (1..=50).map(|cluster| subject.provider.list(Some(ClusterId(cluster))));
    let seen: usize = futures::future::join_all(looks)
        .await
        .into_iter()
        .map(|nodes| nodes.unwrap().len())
        .sum();
    assert_eq!((seen, centre.calls("DescribeInstances").await - before), (4, 2));

    // One that somebody ended by hand is gone at once from the next list.
    centre.ask("lose", json!({"instance": first.id.0})).await;
    until(async || subject.provider.list(Some(ClusterId(1))).await == Ok(Vec::new())).await;
    assert_eq!(subject.provider.describe(&first.id).await, Ok(NodeStatus::Gone));
}

#[tokio::test]
async fn what_ec2_ended_after_it_took_the_launch_says_why() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    let id = launch(&provider, &wanted(1, NodeRole::Worker)).await.unwrap().id;
    until(async || provider.describe(&id).await == Ok(NodeStatus::Running)).await;
    assert_eq!(provider.why_ended(&id).await, Ok(None), "it runs");
    let reason = json!({"code": "Client.InvalidKMSKey.InvalidState",
        "message": "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"});
    centre
        .ask("lose", json!({"instance": id.0, "reason": reason}))
        .await;
    until(async || provider.describe(&id).await == Ok(NodeStatus::Gone)).await;
    let Ok(Some(ProviderError::Refused(words))) = provider.why_ended(&id).await else {
        panic!("it is refused");
    };
    assert!(
        words.contains("in an incorrect state") && words.contains("KMS key: it has to be enabled"),
        "{words}"
    );

    // What control itself ended, EC2 says so of.
    let other = launch(&provider, &wanted(1, NodeRole::Worker)).await.unwrap().id;
    until(async || provider.terminate(&other).await.is_ok()).await;
    until(async || provider.describe(&other).await == Ok(NodeStatus::Gone)).await;
    let ended = provider.why_ended(&other).await.unwrap();
    assert!(
        ended.is_none_or(|why| why.to_string().contains("UserInitiatedShutdown")),
        "nothing was wrong with it"
    );
}

pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came to be");
        tokio::time::sleep(MOMENT).await;
    }
}
