//! What an operator does for somebody who cannot sign in and whom no owner may help: a local account that several tenants
//! trust, or a tenant's last owner.
//!
//! An operator names the account by its address, and sees nothing of it. Each tenant that trusts it finds in its log that
//! it was done, and not by whom: who runs the installation, and which other tenants there are, is no tenant's to know.
//! That stands in the installation's own log. Accounts of operators are set right on the control host alone.

use serde_json::json;
use updraft_api::passwords::PasswordLink;
use updraft_api::tenants::AccountInNeed;
use updraft_authz::Actor;
use updraft_store::password_links::{self, LocalAccount, Way};
use updraft_store::{StoreError, Tx, event_log, memberships, second_factors};

use crate::audit::{Attempt, By, Change, Target, attempt};
use crate::people::checked_email;
use crate::tenancy::TenancyRefusal;
use crate::{App, AppError, access};

impl App {
    /// A link by which whoever has this account sets a new password. Those made before are worth nothing any more.
    ///
    /// # Errors
    /// [`TenancyRefusal::NotOperator`], [`TenancyRefusal::NoAccount`], [`TenancyRefusal::OperatorsAccount`];
    /// [`AppError::Invalid`] on `email`.
    pub async fn help_with_password(
        &self,
        actor: &Actor,
        account: &AccountInNeed,
    ) -> Result<PasswordLink, AppError> {
        let attempt = attempt("password_link.create");
        let mut tx = self.store().begin().await?;
        access::operator(&mut tx, actor, "help somebody sign in").await?;
        let account = in_need(&mut tx, account).await?;
        password_links::use_up(&mut tx, account.user, self.now()).await?;
        let link = self
            .new_link(&mut tx, account.user, Way::Operator(actor.user))
            .await?;
        let message = format!(
            "An operator of this installation made a password link for {}",
            account.email
        );
        let change = Change::made(json!({"expires_at": link.expires_at}));
        tell(
            &mut tx,
            actor,
            &account,
            attempt,
            change,
            ("password_link_made", &message),
        )
        .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(link)
    }

    /// Takes the second factor of this account away.
    ///
    /// # Errors
    /// As [`App::help_with_password`].
    pub async fn help_with_second_factor(
        &self,
        actor: &Actor,
        account: &AccountInNeed,
    ) -> Result<(), AppError> {
        let attempt = attempt("second_factor.remove");
        let mut tx = self.store().begin().await?;
        access::operator(&mut tx, actor, "help somebody sign in").await?;
        let account = in_need(&mut tx, account).await?;
        second_factors::remove(&mut tx, account.user).await?;
        let message = format!(
            "An operator of this installation removed the second factor of {}",
            account.email
        );
        tell(
            &mut tx,
            actor,
            &account,
            attempt,
            Change::none(),
            ("second_factor_removed", &message),
        )
        .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

async fn in_need(tx: &mut Tx, named: &AccountInNeed) -> Result<LocalAccount, AppError> {
    let email = checked_email(&named.email)?;
    let account = password_links::lock_account(tx, &email).await?;
    match account {
        None => Err(TenancyRefusal::NoAccount.into()),
        Some(account) if account.operator => Err(TenancyRefusal::OperatorsAccount.into()),
        Some(account) => Ok(account),
    }
}

/// A line with the operator's name for the installation, and one without for each tenant of the account.
async fn tell(
    tx: &mut Tx,
    actor: &Actor,
    account: &LocalAccount,
    attempt: Attempt,
    change: Change,
    (event, message): (&str, &str),
) -> Result<(), AppError> {
    let attempt = attempt.on(Target::person(account.user, &account.email));
    let for_installation = By::operator(actor).of_no_tenant();
    attempt.done(tx, for_installation, change.clone()).await?;
    for belonging in memberships::of_person(tx, account.user).await? {
        attempt
            .done_from_afar(tx, By::an_operator(belonging.tenant), change.clone())
            .await?;
        event_log::append(tx, belonging.tenant, None, event, message).await?;
    }
    Ok(())
}
