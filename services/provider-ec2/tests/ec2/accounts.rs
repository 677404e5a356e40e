//! Several tenants' accounts at once, each by its own role, and at its own pace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use updraft_aws::ExternalId;
use updraft_model::{AwsAccountId, NodeRole};
use updraft_provider::{ClientToken, NodeProvider, OpenAccounts as _, ProviderError, TenantAccount};
use updraft_provider_ec2::Ec2Accounts;
use uuid::Uuid;

use crate::datacentre::{DataCentre, REGION, boot, wanted};

const ACCOUNTS: [&str; 2] = ["210987654321", "310987654321"];

/// As its tenant would say it.
async fn account(centre: &DataCentre, owner: &str, number: u128) -> TenantAccount {
    let external_id = ExternalId::generate().to_string();
    let role_arn = format!("arn:aws:iam::{owner}:role/updraft");
    let world: Value = centre.config_of(owner).await;
    centre.role(&role_arn, &external_id, &world).await;
    let config = json!({
        "role_arn": role_arn, "region": REGION, "subnets": world["subnets"], "security_groups": world["security_groups"],
        "instance_profile": world["instance_profile"], "image": world["image"], "root_volume": world["root_volume"],
    });
    TenantAccount {
        id: AwsAccountId(Uuid::from_u128(number)),
        external_id,
        config: serde_json::from_value(config).unwrap(),
        version: 1,
    }
}

async fn launch(provider: &dyn NodeProvider) -> Result<(), ProviderError> {
    let wanted = wanted(1, NodeRole::Web);
    let request = provider.prepare(&wanted).await?;
    let token = ClientToken::of(wanted.node);
    provider
        .launch(&request, &token, &boot(wanted.node))
        .await
        .map(drop)
}

#[tokio::test]
async fn each_account_has_its_own_nodes_role_and_pace() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let own = centre.own_credentials().await;
    let installation = serde_json::from_value(centre.config().await).unwrap();
    let accounts = Ec2Accounts::with_credentials(installation, Arc::new(own));
    let (one, other) = (
        account(&centre, ACCOUNTS[0], 1).await,
        account(&centre, ACCOUNTS[1], 2).await,
    );
    let checks = accounts.check(&one).await;
    assert!(!checks.iter().any(|check| check.blocks), "{checks:#?}");
    let stormy = accounts.open(&one).unwrap();
    let quiet = accounts.open(&other).unwrap();

    // Three at once and two a second are what one account has: the ninth waits for three seconds, and nobody else for it.
    let storm = tokio::spawn({
        let stormy = Arc::clone(&stormy);
        async move { join_all((0..9).map(|_| launch(&*stormy))).await }
    });
    while centre.calls("RunInstances").await < 5 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    launch(&*quiet).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(
        !storm.is_finished(),
        "the storm is over before anybody could have waited for it"
    );
    assert!(storm.await.unwrap().iter().all(Result::is_ok));

    let mut deputy = other.clone();
    deputy.external_id.clone_from(&one.external_id);
    let refused = launch(&*accounts.open(&deputy).unwrap()).await.unwrap_err();
    assert!(matches!(refused, ProviderError::Refused(_)), "{refused:?}");
}
