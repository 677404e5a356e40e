//! What a wrong configuration is told before anything starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use updraft_provider_ec2::Preflight;

use crate::datacentre::DataCentre;

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
}

async fn told(centre: &DataCentre, config: Value) -> Preflight {
    centre.provider_with(config).await.preflight().await
}
