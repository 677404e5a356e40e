//! What a wrong configuration is told before anything starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use updraft_provider::{ClusterWanted, NodeProvider as _, ProviderError};
use updraft_provider_ec2::{Check, Ec2Provider, Preflight};

use crate::datacentre::{DataCentre, cluster};
use crate::laws::until;

#[tokio::test]
async fn every_mistake_is_named_within_seconds_and_nothing_is_made() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    let fine = provider.preflight().await;
    assert!(fine.is_ok(), "{fine:#?}");
    // The data centre's own first answers take their time.
    let begun = Instant::now();
    provider.preflight().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut parameter = centre.config().await;
    parameter["image"] = json!("/updraft/image");
    assert!(told(&centre, parameter).await.is_ok());

    for (field, value, failing, remedy) in [
        ("subnets", json!(["subnet-00000000"]), "subnets", "`subnets`"),
        (
            "security_groups",
            json!(["sg-00000000"]),
            "security_groups",
            "`security_groups`",
        ),
        ("image", json!("ami-00000000"), "image", "`image`"),
        ("image", json!("/nowhere"), "image", "SSM parameter"),
        (
            "root_volume",
            json!({"gib": 20, "device": "/dev/other"}),
            "image",
            "`root_volume.device`",
        ),
        (
            "instance_profile",
            json!("nobody"),
            "launch of a scheduler node",
            "the message names",
        ),
    ] {
        let mut config = centre.config().await;
        config[field] = value;
        let found = told(&centre, config).await;
        let check = found.checks.iter().find(|check| check.name == failing).unwrap();
        let told = check.remedy.clone().unwrap_or_default();
        assert!(!check.ok && told.contains(remedy), "{field}: {check:?}");
    }
    for (action, code, failing, remedy) in [
        (
            "RunInstances",
            "UnauthorizedOperation",
            "launch of a web node",
            "iam:PassRole",
        ),
        (
            "RunInstances",
            "VcpuLimitExceeded",
            "launch of a worker node",
            "quota",
        ),
        (
            "GetCallerIdentity",
            "InvalidClientTokenId",
            "credentials",
            "own credentials",
        ),
    ] {
        centre.fault(action, code, 403, 3).await;
        let found = told(&centre, centre.config().await).await;
        let check = found.checks.iter().find(|check| check.name == failing).unwrap();
        assert!(
            !check.ok && check.remedy.as_deref().unwrap_or_default().contains(remedy),
            "{check:?}"
        );
        centre.ask("no-faults", json!({})).await;
    }
    assert_eq!(centre.live().await, 0);
    a_start_is_told_before_its_first_node(&centre).await;
}

/// What control itself asks before it launches a cluster's nodes.
async fn a_start_is_told_before_its_first_node(centre: &DataCentre) {
    let refused = async |wrong: &str, config: Value| {
        let provider = centre.provider_with(config).await;
        let begun = Instant::now();
        let refused = provider.prepare_cluster(&cluster(7)).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        match refused {
            Err(ProviderError::Refused(words)) => words,
            other => panic!("{wrong}: {other:?}"),
        }
    };
    let mut wrong = centre.config().await;
    wrong["subnets"] = json!(["subnet-00000000"]);
    assert!(refused("subnets", wrong).await.contains("correct `subnets`"));
    let mut nowhere = centre.config().await;
    nowhere["web"]["instance_type"] = json!("m9x.large");
    assert!(
        refused("type", nowhere)
            .await
            .contains("m9x.large is not offered in")
    );
    let right = centre.config().await;
    for (to, found) in [
        ("internet-gateway", "public address"),
        ("nowhere", "no route there"),
    ] {
        centre.way_out(to).await;
        let words = refused(to, right.clone()).await;
        assert!(
            words.contains(found) && words.contains("gateway endpoint for s3"),
            "{words}"
        );
    }
    centre.way_out("out").await;

    // What Updraft may not ask for is no reason, and is asked once for clusters that start together.
    centre
        .fault("DescribeRouteTables", "UnauthorizedOperation", 403, 1)
        .await;
    centre
        .fault("DescribeInstanceTypeOfferings", "UnauthorizedOperation", 403, 1)
        .await;
    let provider = centre.provider().await;
    let before = centre.calls("DescribeRouteTables").await;
    let clusters: Vec<_> = (1..=20).map(cluster).collect();
    let begun = Instant::now();
    let starts = futures::future::join_all(clusters.iter().map(|one| provider.prepare_cluster(one))).await;
    eprintln!("twenty starts were looked at in {:?}", begun.elapsed());
    assert!(starts.iter().all(|start| *start == Ok(None)), "{starts:?}");
    assert_eq!(centre.calls("DescribeRouteTables").await - before, 1);
}

async fn told(centre: &DataCentre, config: Value) -> Preflight {
    centre.provider_with(config).await.preflight().await
}

/// A start tries its launches before it makes them, as the cluster that it is of and in that cluster's own group.
#[tokio::test]
async fn what_a_launch_would_be_refused_ends_a_start_before_its_first_node() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider_with(centre.config_without_groups().await).await;
    let denied = async |action: &str| {
        centre.fault(action, "UnauthorizedOperation", 403, 9).await;
    };

    // Before the first start there is no group, so a refusal says nothing of nodes; what makes groups is tried itself.
    denied("RunInstances").await;
    let found = provider.preflight().await;
    let web = named(&found, "launch of a web node");
    assert!(
        !web.ok && !web.blocks && web.found.contains("before the first start"),
        "{web:?}"
    );
    assert!(named(&found, "a cluster's security group").ok, "{found:#?}");
    assert_eq!(centre.groups().await, json!({}), "nothing was made");
    centre.ask("no-faults", json!({})).await;
    denied("CreateSecurityGroup").await;
    let found = provider.preflight().await;
    let making = named(&found, "a cluster's security group");
    assert!(making.blocks && making.remedy.is_some(), "{making:?}");
    // Without a group the launch is about the VPC's own, which the role may not use.
    let web = named(&found, "launch of a web node");
    assert!(!web.ok && !web.blocks, "{web:?}");
    centre.ask("no-faults", json!({})).await;

    denied("RunInstances").await;
    let refused = prepared(&provider, cluster(1)).await.unwrap_err();
    assert!(
        refused.contains("m6i.large") && refused.contains("iam:PassRole"),
        "{refused}"
    );
    let calls = centre.calls("RunInstances").await;
    let again = prepared(&provider, cluster(2)).await.unwrap_err();
    assert_eq!(
        (again, centre.calls("RunInstances").await),
        (refused, calls),
        "it was asked a moment ago"
    );
    let found = provider.preflight().await;
    assert!(
        named(&found, "launch of a web node").blocks,
        "there is a group now: {found:#?}"
    );
    centre.ask("no-faults", json!({})).await;
    assert_eq!(centre.live().await, 0);
}

#[tokio::test]
async fn launches_are_tried_once_for_clusters_that_are_alike_and_queues_machines_for_their_own() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    let alike: Vec<_> = (1..=20).map(cluster).collect();
    let starts = futures::future::join_all(alike.iter().map(|one| provider.prepare_cluster(one))).await;
    assert!(starts.iter().all(Result::is_ok), "{starts:?}");
    // Two kinds of machines, and each of the three subnets.
    assert_eq!(centre.calls("RunInstances").await, 3);

    let with_queue = |number, instance_type: &str| ClusterWanted {
        worker_types: [instance_type.to_owned()].into(),
        ..cluster(number)
    };
    let mistyped = prepared(&provider, with_queue(21, "m9x.large"))
        .await
        .unwrap_err();
    assert!(
        mistyped.contains("m9x.large is not offered in") && mistyped.contains("configure an instance type"),
        "{mistyped}"
    );
    prepared(&provider, with_queue(22, "m6i.2xlarge")).await.unwrap();
    prepared(&provider, cluster(23)).await.unwrap();
    assert_eq!(centre.calls("RunInstances").await, 4, "the queue's kind alone");

    // What may be otherwise in a moment is no reason, and is asked again.
    let other = centre.provider().await;
    centre.fault("RunInstances", "VcpuLimitExceeded", 400, 3).await;
    prepared(&other, cluster(24)).await.unwrap();
    prepared(&other, cluster(25)).await.unwrap();
    assert_eq!(centre.calls("RunInstances").await, 10);
    assert_eq!(centre.live().await, 0);
}

/// Once what was just made is known everywhere.
async fn prepared(provider: &Ec2Provider, wanted: ClusterWanted) -> Result<(), String> {
    let mut answer = Ok(None);
    until(async || {
        answer = provider.prepare_cluster(&wanted).await;
        !matches!(answer, Err(ProviderError::Unclear(_)))
    })
    .await;
    match answer {
        Ok(_) => Ok(()),
        Err(ProviderError::Refused(words)) => Err(words),
        Err(other) => panic!("{other:?}"),
    }
}

fn named<'a>(found: &'a Preflight, name: &str) -> &'a Check {
    found.checks.iter().find(|check| check.name == name).unwrap()
}
