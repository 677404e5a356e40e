//! In which accounts a new cluster may be, for who makes one.

use updraft_authz::{Actor, TenantAction};
use updraft_model::AwsAccountName;
use updraft_store::aws_accounts;

use crate::error::AppError;
use crate::{App, access};

/// As many as anybody reads.
const MOST: i64 = 200;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsAccountChoice {
    /// Those of which enough is said.
    pub accounts: Vec<AwsAccountName>,
    /// Whether it may be in none of them: where the installation itself has nodes.
    pub none: bool,
}

impl App {
    /// Whether this installation has nodes in tenants' accounts at all.
    #[must_use]
    pub fn takes_aws_accounts(&self) -> bool {
        self.config().accounts.is_some()
    }

    /// # Errors
    /// [`AppError::Forbidden`].
    pub async fn aws_account_choice(&self, actor: &Actor) -> Result<AwsAccountChoice, AppError> {
        access::tenant(actor, TenantAction::CreateCluster)?;
        let Some(accounts) = &self.config().accounts else {
            return Ok(AwsAccountChoice::default());
        };
        let mut connection = self.store().connection().await?;
        let all = aws_accounts::list(&mut connection, actor.tenant, None, MOST).await?;
        let known = all.into_iter().filter(|account| account.config.is_some());
        Ok(AwsAccountChoice {
            accounts: known.map(|account| account.name).collect(),
            none: accounts.shared,
        })
    }
}
