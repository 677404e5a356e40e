//! Each of EC2's refusals: which kind it is to the planner, and what it tells people to do.

use serde_json::json;
use updraft_model::NodeRole;
use updraft_provider::{ClientToken, NodeProvider as _, ProviderError, ProviderId};

use crate::datacentre::{DataCentre, boot, launch, wanted};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quota,
    Capacity,
    Throttled,
    Refused,
    Unclear,
}

/// Code, status, what it becomes, and a part of the remedy.
const CODES: &[(&str, u16, Kind, &str)] = &[
    (
        "InsufficientInstanceCapacity",
        500,
        Kind::Capacity,
        "another availability zone",
    ),
    (
        "InsufficientCapacity",
        500,
        Kind::Capacity,
        "another instance type",
    ),
    (
        "UnfulfillableCapacity",
        500,
        Kind::Capacity,
        "another instance type",
    ),
    (
        "InsufficientFreeAddressesInSubnet",
        400,
        Kind::Capacity,
        "a larger subnet",
    ),
    ("SpotMaxPriceTooLow", 400, Kind::Capacity, "on_demand"),
    ("VcpuLimitExceeded", 400, Kind::Quota, "quota of vCPUs"),
    ("InstanceLimitExceeded", 400, Kind::Quota, "quota of instances"),
    (
        "MaxSpotInstanceCountExceeded",
        400,
        Kind::Quota,
        "quota of spot instances",
    ),
    ("VolumeLimitExceeded", 400, Kind::Quota, "quota of gp3 storage"),
    ("MaxIOPSLimitExceeded", 400, Kind::Quota, "quota of IOPS"),
    (
        "NetworkInterfaceLimitExceeded",
        400,
        Kind::Quota,
        "quota of network interfaces",
    ),
    ("UnauthorizedOperation", 403, Kind::Refused, "iam:PassRole"),
    ("OptInRequired", 401, Kind::Refused, "enable the region"),
    ("RegionDisabledException", 403, Kind::Refused, "enable the region"),
    ("InvalidSubnetID.NotFound", 400, Kind::Refused, "`subnets`"),
    (
        "InvalidSecurityGroupID.NotFound",
        400,
        Kind::Refused,
        "`security_groups`",
    ),
    ("InvalidGroup.NotFound", 400, Kind::Refused, "`security_groups`"),
    ("InvalidAMIID.NotFound", 400, Kind::Refused, "`image`"),
    ("InvalidAMIID.Unavailable", 400, Kind::Refused, "`image`"),
    ("ParameterNotFound", 400, Kind::Refused, "SSM parameter"),
    ("InvalidKeyPair.NotFound", 400, Kind::Refused, "`key_pair`"),
    ("InvalidInstanceType", 400, Kind::Refused, "`instance_type`"),
    ("Unsupported", 400, Kind::Refused, "availability zone"),
    (
        "InvalidParameterValue",
        400,
        Kind::Refused,
        "provider's configuration",
    ),
    (
        "InvalidParameterCombination",
        400,
        Kind::Refused,
        "provider's configuration",
    ),
    (
        "IdempotentParameterMismatch",
        400,
        Kind::Refused,
        "stop the cluster and start it again",
    ),
    (
        "PendingVerification",
        400,
        Kind::Unclear,
        "AWS verifies the account",
    ),
    ("InvalidVpcID.NotFound", 400, Kind::Refused, "`subnets`"),
    (
        "SecurityGroupLimitExceeded",
        400,
        Kind::Quota,
        "VPC security groups",
    ),
    (
        "RulesPerSecurityGroupLimitExceeded",
        400,
        Kind::Quota,
        "rules per security group",
    ),
    ("DependencyViolation", 400, Kind::Unclear, "interfaces"),
    ("AuthFailure", 401, Kind::Unclear, "own credentials"),
    ("InvalidClientTokenId", 403, Kind::Unclear, "own credentials"),
    ("SignatureDoesNotMatch", 403, Kind::Unclear, "own credentials"),
    ("ExpiredToken", 400, Kind::Unclear, "own credentials"),
    ("RequestExpired", 400, Kind::Unclear, "clock"),
    ("NobodyKnowsThis", 400, Kind::Refused, "EC2's documentation"),
    ("NobodyKnowsThis", 500, Kind::Unclear, "AWS's own status"),
];

#[tokio::test]
async fn each_refusal_has_its_kind_and_its_remedy() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let mut wrong = Vec::new();
    for (code, status, expected, remedy) in CODES {
        // A new client each time: one alone would wait for EC2's request limits.
        let provider = centre.provider().await;
        centre.fault("RunInstances", code, *status, 1).await;
        let error = launch(&provider, &wanted(1, NodeRole::Web)).await.unwrap_err();
        let words = error.to_string();
        if kind(&error) != *expected || !words.contains(remedy) || !words.contains(code) {
            wrong.push(format!("{code} {status}: {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(centre.live().await, 0);
    throttling_that_lasts_is_told(&centre).await;
    what_the_data_centre_refuses_by_itself(&centre).await;
}

async fn throttling_that_lasts_is_told(centre: &DataCentre) {
    centre
        .fault("StopInstances", "RequestLimitExceeded", 503, 5)
        .await;
    let stopped = centre
        .provider()
        .await
        .stop(&ProviderId("i-0a1b2c3d".to_owned()))
        .await;
    assert_eq!(stopped, Err(ProviderError::Throttled));
    assert_eq!(centre.calls("StopInstances").await, 5);
}

/// The same refusals where nobody planned them: the endpoint checks what it is asked.
async fn what_the_data_centre_refuses_by_itself(centre: &DataCentre) {
    for (field, value, code) in [
        ("subnets", json!(["subnet-00000000"]), "InvalidSubnetID.NotFound"),
        ("security_groups", json!(["sg-00000000"]), "InvalidGroup.NotFound"),
        ("image", json!("ami-00000000"), "InvalidAMIID.NotFound"),
        (
            "instance_profile",
            json!("nobody"),
            "Invalid IAM Instance Profile name",
        ),
        ("key_pair", json!("nobody"), "InvalidKeyPair.NotFound"),
    ] {
        let mut config = centre.config().await;
        config[field] = value;
        let provider = centre.provider_with(config).await;
        let error = launch(&provider, &wanted(1, NodeRole::Web)).await.unwrap_err();
        assert!(
            kind(&error) == Kind::Refused && error.to_string().contains(code),
            "{field}: {error}"
        );
    }
    let provider = centre.provider().await;
    let node = wanted(1, NodeRole::Web);
    launch(&provider, &node).await.unwrap();
    let mut other = node.clone();
    other.ordinal = 2;
    let other = provider.prepare(&other).await.unwrap();
    let mismatch = provider
        .launch(&other, &ClientToken::of(node.node), &boot(node.node))
        .await
        .unwrap_err();
    assert!(
        mismatch.to_string().contains("IdempotentParameterMismatch"),
        "{mismatch}"
    );
}

fn kind(error: &ProviderError) -> Kind {
    match error {
        ProviderError::Quota(_) => Kind::Quota,
        ProviderError::Capacity(_) => Kind::Capacity,
        ProviderError::Throttled => Kind::Throttled,
        ProviderError::Refused(_) => Kind::Refused,
        ProviderError::Unclear(_) => Kind::Unclear,
    }
}
