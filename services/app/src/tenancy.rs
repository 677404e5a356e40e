//! Why a control plane, a tenant or a session stays what it is: refusals about tenants as a whole.

use thiserror::Error;
use updraft_api::Problem;
use updraft_store::tenancy;

use crate::airflow_url::HostSharing;
use crate::error::problem;
use crate::{App, AppError};

/// How many tenants this installation keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenancy {
    Several,
    /// Clusters of different tenants would share what they must not.
    One(SharedByAll),
}

/// What all clusters share, whoever's they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedByAll {
    /// Their processes are of one user of one machine.
    User,
    /// Their nodes have keys that open every cluster's bucket.
    BucketKeys,
}

#[derive(Debug, Error)]
pub enum TenancyRefusal {
    #[error("only an operator may {action}")]
    NotOperator { action: &'static str },
    #[error("there is a tenant named `{name}`")]
    NameTaken { name: String },
    #[error("this installation keeps one tenant")]
    OneTenant(SharedByAll),
    #[error("clusters of different tenants would share a host")]
    SharedHost,
    #[error("the tenant has {clusters} clusters")]
    NotEmpty { clusters: u32 },
    #[error("an operator's way in is not deleted")]
    OperatorsOwn,
    #[error("it is the account of an operator")]
    OperatorsAccount,
    #[error("there is no local account of this address")]
    NoAccount,
    #[error("the session cannot go to another tenant: {obstacle}")]
    CannotSwitch { obstacle: String },
}

impl App {
    /// Before anything is served: a browser must keep tenants apart.
    ///
    /// # Errors
    /// [`TenancyRefusal::SharedHost`] when there are several tenants already.
    pub async fn check_hosts(&self) -> Result<(), AppError> {
        match self.config().airflow_url.sharing() {
            HostSharing::Nobodys => return Ok(()),
            HostSharing::OneTenants => {}
            HostSharing::Everybodys => {
                let mut connection = self.store().connection().await?;
                if tenancy::count(&mut connection).await? > 1 {
                    return Err(TenancyRefusal::SharedHost.into());
                }
            }
        }
        tracing::warn!(
            "`airflow_url` puts clusters on one host: whoever writes DAGs or plugins for one of them can act in the others \
             as whoever visits it. With {{cluster}} in the host they can't"
        );
        Ok(())
    }

    /// Beside this many other tenants.
    pub(crate) fn may_have_another_tenant(&self, others: i64) -> Result<(), TenancyRefusal> {
        if others == 0 {
            return Ok(());
        }
        if let Tenancy::One(shared) = self.config().tenancy {
            return Err(TenancyRefusal::OneTenant(shared));
        }
        match self.config().airflow_url.sharing() {
            HostSharing::Nobodys | HostSharing::OneTenants => Ok(()),
            HostSharing::Everybodys => Err(TenancyRefusal::SharedHost),
        }
    }
}

// === impl TenancyRefusal ===

impl From<&TenancyRefusal> for Problem {
    fn from(refusal: &TenancyRefusal) -> Self {
        use TenancyRefusal as R;
        match refusal {
            R::NotOperator { action } => problem(
                403,
                "operators-only",
                format!("Only an operator of this installation may {action}."),
                "Ask whoever runs it; on its own machine, `updraft operator grant` makes an operator.",
            ),
            R::NameTaken { name } => problem(
                409,
                "tenant-name-taken",
                format!("There is a tenant named `{name}`."),
                "Choose another name.",
            ),
            R::OneTenant(SharedByAll::User) => problem(
                409,
                "one-tenant-only",
                "This installation keeps one tenant: without root, clusters have no users of their own, and \
                 tenants would reach each other's processes.",
                "Run `updraft up` as root, where each cluster has a user of its own, and try again.",
            ),
            R::OneTenant(SharedByAll::BucketKeys) => problem(
                409,
                "one-tenant-only",
                "This installation keeps one tenant: its nodes have keys that open every cluster's bucket, and tenants \
                 would read and change each other's DAGs and logs.",
                "Set a role as `node_keys` in control's settings, or `tenants_trust_each_other` if they do, and try again.",
            ),
            R::SharedHost => problem(
                409,
                "tenants-share-a-host",
                "All clusters of this installation share one host, where one tenant's pages could act for another's \
                 visitors: so it keeps one tenant.",
                "Start Updraft with {cluster} or {tenant} in the host of its `airflow_url`, and try again.",
            ),
            R::NotEmpty { clusters } => problem(
                409,
                "tenant-not-empty",
                format!(
                    "The tenant has {clusters} {}.",
                    if *clusters == 1 { "cluster" } else { "clusters" }
                ),
                "Its owner deletes clusters first; then the tenant can be deleted.",
            ),
            R::OperatorsOwn => problem(
                409,
                "operators-own-tenant",
                "An operator signs in through this tenant and through no other.",
                "Make the operator a member of another tenant first, or delete this one as somebody who is in another.",
            ),
            R::NoAccount => problem(
                404,
                "account-not-found",
                "There is no account with a password of Updraft's own and this address.",
                "Check the address. Who comes through an identity provider is helped there.",
            ),
            R::OperatorsAccount => problem(
                409,
                "operators-account",
                "This is the account of an operator, which another operator does not take over from here.",
                "On the machine that runs this installation, `updraft operator revoke` makes it an account like others.",
            ),
            R::CannotSwitch { obstacle } => problem(
                403,
                "cannot-switch",
                format!("This session cannot go there: {obstacle}."),
                "Sign out, and sign in there the way it asks for.",
            ),
        }
    }
}
