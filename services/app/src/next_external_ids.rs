//! An AWS account's external id, exchanged for another one while nodes are started and ended there.
//!
//! A role's trust policy is not Updraft's to write, so it takes two steps. A next external id is made, by Updraft alone, and is
//! used for nothing yet: the tenant puts it beside the present one. Then it is proven as a role is: AWS lets Updraft in by it, and not
//! by just any. Only then does it take the present one's place, in one transaction, and every process of control opens the account
//! anew. Until then everything goes on by the present one, whoever dies in between: one of the two is in use, and which one
//! is on record.

use serde_json::json;
use updraft_api::aws_accounts::{AwsAccountView, AwsCheck};
use updraft_authz::{Actor, TenantAction};
use updraft_aws::ExternalId;
use updraft_model::{AwsAccountConfig, AwsAccountName};
use updraft_store::aws_accounts::{self, AwsAccountRecord};
use updraft_store::{StoreError, tenants};

use crate::audit::{Change, attempt};
use crate::aws_account_refusal::AwsAccountRefusal;
use crate::aws_accounts::{found, queue_types, target};
use crate::aws_identity::Role;
use crate::error::AppError;
use crate::{App, AwsIdentity, access};

impl App {
    /// Makes what is to be the account's next external id. The one that waits already, if one does.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AwsAccountRefusal::NotConfigured`]; [`AwsAccountRefusal::NotHere`].
    pub async fn make_next_external_id(
        &self,
        actor: &Actor,
        name: &AwsAccountName,
    ) -> Result<AwsAccountView, AppError> {
        let attempt = attempt("aws_account.make_next_external_id").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        self.resource_accounts()?;
        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let before = found(&mut tx, actor.tenant, name).await?;
        configured(&before)?;
        if before.next_external_id.is_none() {
            let next = ExternalId::generate().to_string();
            aws_accounts::keep_next_external_id(&mut tx, actor.tenant, before.id, &next).await?;
        }
        let queue_types = queue_types(&mut tx, actor, before.id).await?;
        let after = self.aws_account_view(found(&mut tx, actor.tenant, name).await?);
        let change = Change::between(json!(self.aws_account_view(before)), json!(after));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.with_policies(after, &queue_types))
    }

    /// Puts the next external id in the present one's place, once AWS lets Updraft in by it.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AwsAccountRefusal::NoNextExternalId`];
    /// [`AwsAccountRefusal::NextNotTaken`], and the present one stays; [`AwsAccountRefusal::Changed`];
    /// [`AwsAccountRefusal::NotHere`].
    pub async fn use_next_external_id(
        &self,
        actor: &Actor,
        name: &AwsAccountName,
    ) -> Result<AwsAccountView, AppError> {
        let attempt = attempt("aws_account.use_next_external_id").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let (aws, _) = self.resource_accounts()?;
        let before = {
            let mut connection = self.store().connection().await?;
            found(&mut connection, actor.tenant, name).await?
        };
        let next = waiting(&before)?;
        prove_next(aws, &before, next).await?;

        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let now = found(&mut tx, actor.tenant, name).await?;
        // What was proven is this id with this role.
        if (now.id, now.version, now.next_external_id.as_deref()) != (before.id, before.version, Some(next)) {
            return Err(AwsAccountRefusal::Changed {
                name: name.to_string(),
            }
            .into());
        }
        aws_accounts::use_next_external_id(&mut tx, actor.tenant, now.id, next).await?;
        let queue_types = queue_types(&mut tx, actor, now.id).await?;
        let after = self.aws_account_view(found(&mut tx, actor.tenant, name).await?);
        let change = Change::between(json!(self.aws_account_view(now)), json!(after));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.with_policies(after, &queue_types))
    }

    /// Forgets the next external id; the present one stays as it is.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AwsAccountRefusal::NoNextExternalId`].
    pub async fn drop_next_external_id(&self, actor: &Actor, name: &AwsAccountName) -> Result<(), AppError> {
        let attempt = attempt("aws_account.drop_next_external_id").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let before = found(&mut tx, actor.tenant, name).await?;
        waiting(&before)?;
        aws_accounts::drop_next_external_id(&mut tx, actor.tenant, before.id).await?;
        let after = self.aws_account_view(found(&mut tx, actor.tenant, name).await?);
        let change = Change::between(json!(self.aws_account_view(before)), json!(after));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Whether the next external id, if one waits, could take the present one's place by now. Nothing depends on it yet.
pub(crate) async fn looked_at(
    aws: &AwsIdentity,
    record: &AwsAccountRecord,
    config: &AwsAccountConfig,
) -> Option<AwsCheck> {
    let next = record.next_external_id.as_deref()?;
    let role = Role::of_account(&record.name, &config.role_arn, next)?;
    let refused = aws.assume(&role).await.err();
    let (found, remedy) = match &refused {
        None => (
            format!(
                "AWS lets Updraft in by `{next}`, too: `updraft aws-account rotate-external-id {} --finish`",
                record.name
            ),
            None,
        ),
        Some(refused) => (
            refused.to_string(),
            Some(format!(
                "put `{next}` beside `{}` in the role's trust policy. Until it takes its place, nothing depends on it",
                record.external_id
            )),
        ),
    };
    Some(AwsCheck {
        name: "next external id".to_owned(),
        ok: refused.is_none(),
        blocks: false,
        found,
        remedy,
    })
}

async fn prove_next(aws: &AwsIdentity, before: &AwsAccountRecord, next: &str) -> Result<(), AppError> {
    let role = Role::of_account(&before.name, &configured(before)?.role_arn, next);
    let role = role.ok_or(AppError::Internal {
        what: "reading a role back",
    })?;
    aws.prove(&role).await.map(drop).map_err(|refused| {
        AwsAccountRefusal::NextNotTaken {
            name: before.name.to_string(),
            why: refused.to_string(),
        }
        .into()
    })
}

fn waiting(record: &AwsAccountRecord) -> Result<&str, AwsAccountRefusal> {
    let none = || AwsAccountRefusal::NoNextExternalId {
        name: record.name.to_string(),
    };
    record.next_external_id.as_deref().ok_or_else(none)
}

/// Where no role is known, none can be asked.
fn configured(record: &AwsAccountRecord) -> Result<&AwsAccountConfig, AwsAccountRefusal> {
    let not_yet = || AwsAccountRefusal::NotConfigured {
        name: record.name.to_string(),
    };
    record.config.as_ref().ok_or_else(not_yet)
}
