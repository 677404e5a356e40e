//! What a wrong configuration is told before anything starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use updraft_provider::{NodeProvider as _, ProviderError};
use updraft_provider_ec2::Preflight;

use crate::datacentre::{DataCentre, cluster};

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
        ("image", json!("/nowhere"), "image", ""),
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
