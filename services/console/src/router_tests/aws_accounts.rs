//! An organisation's own AWS accounts: what there is to paste, what is found there, and where clusters are.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use updraft_app::{AppConfig, AwsIdentity, ResourceAccounts};
use updraft_aws::{Client, Credentials, FixedCredentials, Place};
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{
    AccountCheck, AccountFault, NodeProvider, OpenAccounts, ProviderError, TenantAccount,
};
use updraft_store::aws_accounts;

use super::{House, house, house_with};
use crate::fixtures::assert_accessible;
use crate::fixtures_aws;

const PRINCIPAL: &str = "arn:aws:iam::123456789012:role/updraft-control";

/// Where a route is missing.
#[derive(Debug)]
struct OneRouteShort;

#[async_trait]
impl OpenAccounts for OneRouteShort {
    fn judge(&self, _account: &TenantAccount) -> Result<(), AccountFault> {
        Ok(())
    }

    fn open(&self, _account: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        Ok(Arc::new(SimulatedProvider::perfect()))
    }

    async fn check(&self, _account: &TenantAccount) -> Vec<AccountCheck> {
        vec![AccountCheck {
            name: "routes".to_owned(),
            ok: false,
            blocks: true,
            found: "no way from subnet-0a1b2c3d to S3".to_owned(),
            remedy: Some("add a gateway endpoint".to_owned()),
        }]
    }
}

/// Nobody answers as STS there.
fn on_aws(config: &mut AppConfig) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = FixedCredentials(Credentials {
        access_key: "AKIA".to_owned(),
        secret_key: "secret".to_owned().into(),
        session_token: None,
        expires_at: None,
    });
    let place = Place {
        region: "eu-west-1".to_owned(),
        endpoint: Some("http://127.0.0.1:1/".parse().unwrap()),
    };
    let sts = Client::new(place, Arc::new(own)).unwrap();
    config.aws = Some(AwsIdentity::new(PRINCIPAL.parse().unwrap(), sts));
    config.accounts = Some(ResourceAccounts {
        opens: Arc::new(OneRouteShort),
        installation: "prod".to_owned(),
        shared: true,
        usual: updraft_app::UsualNodes::default(),
    });
}

async fn set_up(house: &House, name: &str) {
    let tenant = house.actor("ada@example.com").await.tenant;
    let mut connection = house.store().connection().await.unwrap();
    let found = aws_accounts::find(&mut connection, tenant, &name.parse().unwrap()).await;
    let id = found.unwrap().unwrap().id;
    aws_accounts::configure(&mut connection, tenant, id, &fixtures_aws::config())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_owner_begins_an_account_pastes_and_sees_what_is_missing_there() {
    let house = house_with(on_aws).await;
    let ada = house.token("ada@example.com").await;
    assert!(
        house
            .get(Some(&ada), "/credentials")
            .await
            .html
            .contains("/aws-accounts")
    );
    let refused = house.post(Some(&ada), "/aws-accounts", "name=No+Name").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains(r#"value="No Name""#), "{}", refused.html);
    let made = house.post(Some(&ada), "/aws-accounts", "name=production").await;
    assert_eq!(made.location.as_deref(), Some("/aws-accounts/production"));

    let page = house.get(Some(&ada), "/aws-accounts/production").await;
    assert_accessible(&page.html);
    for told in [
        "updraft-",
        PRINCIPAL,
        "StartItsOwnInstances",
        "GroupsOfItsOwn",
        "arn:aws:ec2:REGION:ACCOUNT:subnet/SUBNET",
        "terraform/modules/tenant-account",
    ] {
        assert!(page.html.contains(told), "{told}: {}", page.html);
    }
    assert_eq!(page.html.matches("data-copy=").count(), 4, "{}", page.html);
    assert!(
        !page.html.contains("/aws-accounts/production/check"),
        "nothing is said yet"
    );

    // What cannot be tried now is not saved, and nothing typed is lost.
    let form = "role_arn=arn:aws:iam::210987654321:role/mine&region=eu-central-1&subnets=subnet-0a1b2c3d&instance_profile=node";
    let kept = house.post(Some(&ada), "/aws-accounts/production", form).await;
    assert!(
        kept.status.is_client_error() || kept.status.is_server_error(),
        "{}",
        kept.status
    );
    assert!(
        kept.html.contains("role/mine") && kept.html.contains(r#"role="alert""#),
        "{}",
        kept.html
    );
    let half = house
        .post(
            Some(&ada),
            "/aws-accounts/production",
            &format!("{form}&root_gib=50"),
        )
        .await;
    assert_eq!(half.status, StatusCode::UNPROCESSABLE_ENTITY);

    set_up(&house, "production").await;
    let page = house.get(Some(&ada), "/aws-accounts/production").await;
    assert!(
        page.html
            .contains("arn:aws:ec2:eu-central-1:210987654321:subnet/subnet-1a1b2c3d")
    );
    assert!(
        page.html.contains("m7i.*") && !page.html.contains("ACCOUNT:"),
        "{}",
        page.html
    );
    // An external id is exchanged in two steps, and nothing depends on the first.
    let next = "/aws-accounts/production/next-external-id";
    let made = house.post(Some(&ada), next, "").await;
    assert_eq!(made.location.as_deref(), Some("/aws-accounts/production"));
    let page = house.get(Some(&ada), "/aws-accounts/production").await;
    assert_accessible(&page.html);
    assert!(
        page.html.contains("Its external id is being exchanged") && page.html.contains("other_external_ids"),
        "{}",
        page.html
    );
    let refused = house.post(Some(&ada), &format!("{next}/use"), "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(
        refused.html.contains("stays with its present external id"),
        "{}",
        refused.html
    );
    let dropped = house.post(Some(&ada), &format!("{next}/drop"), "").await;
    assert_eq!(dropped.location.as_deref(), Some("/aws-accounts/production"));
    let page = house.get(Some(&ada), "/aws-accounts/production").await;
    assert!(!page.html.contains("is being exchanged"), "{}", page.html);

    let checked = house.post(Some(&ada), "/aws-accounts/production/check", "").await;
    assert_eq!(checked.status, StatusCode::OK);
    assert!(
        checked.html.contains("no way from subnet-0a1b2c3d to S3"),
        "{}",
        checked.html
    );
    assert!(
        checked.html.contains("add a gateway endpoint"),
        "{}",
        checked.html
    );
    assert_accessible(&checked.html);

    let gone = house
        .post(Some(&ada), "/aws-accounts/production/delete", "")
        .await;
    assert_eq!(gone.location.as_deref(), Some("/aws-accounts"));
    assert_eq!(
        house.get(Some(&ada), "/aws-accounts/production").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_new_cluster_is_put_into_an_account_which_then_stays() {
    let house = house_with(on_aws).await;
    let ada = house.token("ada@example.com").await;
    house.post(Some(&ada), "/aws-accounts", "name=production").await;
    assert!(
        !house
            .get(Some(&ada), "/clusters/new")
            .await
            .html
            .contains("aws_account"),
        "it is not set up"
    );
    set_up(&house, "production").await;
    let form = house.get(Some(&ada), "/clusters/new").await;
    assert!(form.html.contains("<option>production</option>"), "{}", form.html);
    assert_accessible(&form.html);

    let wish = "name=demo&workers=1&worker_concurrency=2&aws_account=production";
    assert_eq!(
        house.post(Some(&ada), "/clusters", wish).await.status,
        StatusCode::SEE_OTHER
    );
    let listed = house.get(Some(&ada), "/aws-accounts").await;
    assert!(
        listed.html.contains("210987654321 in eu-central-1") && listed.html.contains("demo"),
        "{}",
        listed.html
    );
    assert_accessible(&listed.html);
    let refused = house
        .post(Some(&ada), "/aws-accounts/production/delete", "")
        .await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.html);
}

#[tokio::test]
async fn accounts_are_owners_and_only_where_nodes_may_be_in_some() {
    let house = house().await;
    let (ada, bo) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
    );
    assert!(
        !house
            .get(Some(&ada), "/credentials")
            .await
            .html
            .contains("/aws-accounts")
    );
    let refused = house.post(Some(&ada), "/aws-accounts", "name=production").await;
    assert!(
        refused.html.contains("no nodes in organisations"),
        "{}",
        refused.html
    );
    for path in ["/aws-accounts", "/aws-accounts/production"] {
        assert_eq!(
            house.get(Some(&bo), path).await.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    for verb in [
        "",
        "/production",
        "/production/check",
        "/production/delete",
        "/production/next-external-id",
        "/production/next-external-id/use",
        "/production/next-external-id/drop",
    ] {
        let tried = house
            .post(Some(&bo), &format!("/aws-accounts{verb}"), "name=mine")
            .await;
        assert_eq!(tried.status, StatusCode::FORBIDDEN, "{verb}");
    }
}
