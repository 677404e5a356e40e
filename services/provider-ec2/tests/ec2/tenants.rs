//! Nodes in a tenant's own account, by its role and the external id that Updraft generated.

use serde_json::json;
use updraft_aws::ExternalId;
use updraft_model::NodeRole;
use updraft_provider::{NodeProvider as _, ProviderError};

use crate::datacentre::{DataCentre, launch, wanted};

const TENANT: &str = "210987654321";
const ROLE: &str = "arn:aws:iam::210987654321:role/updraft";

#[tokio::test]
async fn a_role_is_assumed_once_and_only_with_its_own_external_id() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let (external_id, foreign) = (ExternalId::generate(), ExternalId::generate());
    let mut config = centre.config_of(TENANT).await;
    centre.role(ROLE, &external_id, &config).await;
    config["account"] = json!({"role": ROLE, "external_id": external_id});
    let provider = centre.provider_with(config.clone()).await;

    let found = provider.preflight().await;
    assert!(found.is_ok(), "{found:#?}");
    assert!(found.checks[0].found.contains(TENANT), "{:?}", found.checks[0]);
    launch(&provider, &wanted(1, NodeRole::Web)).await.unwrap();
    assert_eq!(centre.calls("AssumeRole").await, 1, "credentials are kept");
    let own = centre.provider().await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(
        own.list(None).await,
        Ok(Vec::new()),
        "it is in the tenant's account alone"
    );
    assert_eq!(provider.list(None).await.unwrap().len(), 1);

    config["account"]["external_id"] = json!(foreign);
    let deputy = centre.provider_with(config).await;
    let refused = launch(&deputy, &wanted(1, NodeRole::Web)).await.unwrap_err();
    let ProviderError::Refused(words) = &refused else {
        panic!("{refused:?}");
    };
    assert!(words.contains("external id"), "{words}");
    let found = deputy.preflight().await;
    assert!(!found.is_ok() && found.checks.len() == 1, "{found:#?}");
}
