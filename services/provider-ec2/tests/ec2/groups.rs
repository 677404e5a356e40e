//! A security group for each cluster: one, found again, gone with it, and open to nobody else.

use serde_json::json;
use updraft_model::{ClusterId, NodeRole};
use updraft_provider::contract;
use updraft_provider::{NodeProvider as _, ProviderError};

use crate::datacentre::{ACCOUNT, DataCentre, On, REGION, cluster, launch, wanted};

#[tokio::test]
async fn a_cluster_has_one_group_that_only_its_own_nodes_get_through() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let subject = On {
        provider: centre.provider_with(centre.config_without_groups().await).await,
    };
    contract::a_cluster_is_prepared_once(&subject, ClusterId(1), ClusterId(2))
        .await
        .unwrap();
    contract::what_nodes_are_in_outlives_them(&subject, ClusterId(1))
        .await
        .unwrap();
    assert_eq!(centre.groups().await, json!({}), "a group was left behind");

    // The call takes effect, its answer is lost, and what it made is not listed yet: there is one all the same.
    let lost = json!({"action": "CreateSecurityGroup", "answer_lost": true, "times": 1});
    centre.ask("fault", lost).await;
    let group = loop {
        match subject.provider.prepare_cluster(&cluster(3)).await {
            Ok(group) => break group.unwrap(),
            Err(error) => assert!(matches!(error, ProviderError::Unclear(_)), "{error:?}"),
        }
    };
    let rules = centre.groups().await;
    assert_eq!(rules.as_object().unwrap().len(), 1, "{rules}");
    let [rule] = rules[&group.0].as_array().unwrap().as_slice() else {
        panic!("{rules}");
    };
    assert_eq!(
        [&rule[0], &rule[1], &rule[2]],
        [&json!("tcp"), &json!(7443), &json!(7443)]
    );
    assert_eq!((&rule[3], &rule[4]["GroupId"]), (&json!({}), &json!(group.0)));
    let asked = json!({"account": ACCOUNT, "region": REGION, "resource": group.0});
    let tags = json!({
        "Name": "updraft-test-3",
        "updraft:installation": "test",
        "updraft:cluster": "3",
        "updraft:tenant": "00000000-0000-0000-0000-00000000acce",
    });
    assert_eq!(centre.ask("tags", asked).await, tags);

    // A group is no node's that was not given it, and a node's before the cluster was prepared is refused.
    let node = wanted(3, NodeRole::Web);
    let refused = launch(&subject.provider, &node).await;
    assert!(matches!(refused, Err(ProviderError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_group_of_that_name_that_is_somebody_elses_is_left_alone() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let mut config = centre.config_without_groups().await;
    let ours = centre.provider_with(config.clone()).await;
    centre
        .ask(
            "group",
            json!({"account": ACCOUNT, "region": REGION, "name": "updraft-test-5"}),
        )
        .await;
    let refused = ours.prepare_cluster(&cluster(5)).await;
    let Err(ProviderError::Refused(words)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        words.contains("updraft-test-5") && words.contains("rename or delete"),
        "{words}"
    );
    ours.forget_cluster(ClusterId(5)).await.unwrap();
    assert_eq!(centre.groups().await.as_object().unwrap().len(), 1);

    config["installation"] = json!("other");
    let other = centre.provider_with(config).await;
    other.prepare_cluster(&cluster(6)).await.unwrap();
    ours.forget_cluster(ClusterId(6)).await.unwrap();
    assert_eq!(ours.prepared_clusters().await, Ok(Vec::new()));
    assert_eq!(centre.groups().await.as_object().unwrap().len(), 2);
}
