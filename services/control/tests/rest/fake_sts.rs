//! An STS whose roles trust Updraft by the external ids that are in their path: nothing has to be told to it before.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use updraft_app::{AppConfig, ResourceAccounts};
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{
    AccountCheck, AccountFault, NodeProvider, OpenAccounts, ProviderError, TenantAccount,
};

use crate::aws;

/// Of tenants' accounts, none of which is Updraft's.
const ACCOUNT: &str = "210987654321";

/// Opens every account that has subnets.
#[derive(Debug)]
struct FakeAccounts;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assume {
    role_arn: String,
    external_id: String,
}

/// A role that asks for the external id, and nothing else.
pub(crate) fn role(external_id: &str) -> String {
    role_of_either(&[external_id])
}

/// A role that asks for one of these.
pub(crate) fn role_of_either(external_ids: &[&str]) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/asks-for/{}", external_ids.join("/"))
}

/// A role that trusts Updraft whatever it says.
pub(crate) fn open_role() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/open")
}

/// Tenants' accounts, and roles in them.
pub(crate) struct Accounts {
    sts: SocketAddr,
    shared: bool,
}

// === impl Accounts ===

impl Accounts {
    pub(crate) async fn open(shared: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sts = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let service = Router::new().route("/", post(assume));
            axum::serve(listener, service).await.unwrap();
        });
        Self { sts, shared }
    }

    pub(crate) fn give(&self, config: &mut AppConfig) {
        config.aws = Some(aws::anybody_at(self.sts));
        config.accounts = Some(ResourceAccounts {
            opens: Arc::new(FakeAccounts),
            installation: "test".to_owned(),
            shared: self.shared,
            usual: updraft_app::UsualNodes::default(),
        });
    }
}

async fn assume(Form(asked): Form<Assume>) -> Response {
    let asks_for_it = asked.role_arn.split('/').any(|part| part == asked.external_id);
    if !asks_for_it && !asked.role_arn.ends_with("/open") {
        let refused =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        return (StatusCode::FORBIDDEN, refused).into_response();
    }
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
     <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
     </AssumeRoleResponse>"
        .into_response()
}

#[async_trait]
impl OpenAccounts for FakeAccounts {
    fn judge(&self, account: &TenantAccount) -> Result<(), AccountFault> {
        match account.config.subnets.is_empty() {
            false => Ok(()),
            true => Err(AccountFault {
                field: "subnets".to_owned(),
                why: "has to name at least one subnet".to_owned(),
            }),
        }
    }

    fn open(&self, _account: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        Ok(Arc::new(SimulatedProvider::perfect()))
    }

    async fn check(&self, account: &TenantAccount) -> Vec<AccountCheck> {
        let found = AccountCheck {
            name: "subnets".to_owned(),
            ok: true,
            blocks: false,
            found: account.config.subnets.join(" "),
            remedy: None,
        };
        vec![found]
    }
}
