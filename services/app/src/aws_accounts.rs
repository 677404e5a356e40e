//! A tenant's own AWS accounts, in which its clusters' nodes are. Owners keep them; a cluster names one when it is made.
//!
//! A tenant says which role Updraft assumes, where and what its nodes are. Where AWS is reached, what nodes fetch and how
//! they are tagged is the installation's alone.
//!
//! That another tenant may name the same role is no danger, and not looked for: AWS refuses Updraft the role unless it shows the
//! external id that the role's trust policy asks for, and each account has one of its own that Updraft generated (the confused
//! deputy, <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>). What has to be looked for is a role that asks for
//! none: it is proven when it is set. So is a role in Updraft's own account, which trusts Updraft for Updraft's own ends.

use std::collections::BTreeSet;

use serde_json::json;
use updraft_api::aws_accounts::{AwsAccountCheck, AwsAccountView, AwsCheck, NewAwsAccount};
use updraft_api::rest::Page;
use updraft_authz::{Actor, TenantAction};
use updraft_aws::{ExternalId, RoleArn};
use updraft_model::{AwsAccountConfig, AwsAccountId, AwsAccountName, TenantId};
use updraft_provider::{AccountCheck, TenantAccount};
use updraft_store::aws_accounts::{self, AwsAccountRecord};
use updraft_store::{PgConnection, StoreError, clusters, node_accounts, tenants};
use uuid::Uuid;

use crate::audit::{Change, Target, attempt};
use crate::aws_account_refusal::AwsAccountRefusal;
use crate::aws_identity::Role;
use crate::config::ResourceAccounts;
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, AwsIdentity, PageRequest, access, next_external_ids};

const MAX_ACCOUNTS: usize = 200;

impl App {
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_aws_accounts(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<AwsAccountView>, AppError> {
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let (limit, after) = (request.limit()?, request.position::<String>()?);
        let mut connection = self.store().connection().await?;
        let records = aws_accounts::list(&mut connection, actor.tenant, after.as_deref(), limit + 1).await?;
        let name = |record: &AwsAccountRecord| record.name.to_string();
        Ok(page(records, limit, name, |record| self.aws_account_view(record)))
    }

    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`].
    pub async fn show_aws_account(
        &self,
        actor: &Actor,
        name: &AwsAccountName,
    ) -> Result<AwsAccountView, AppError> {
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let mut connection = self.store().connection().await?;
        let record = found(&mut connection, actor.tenant, name).await?;
        let queue_types = queue_types(&mut connection, actor, record.id).await?;
        Ok(self.with_policies(self.aws_account_view(record), &queue_types))
    }

    /// With an external id of its own. No cluster can be in it before it is configured.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AwsAccountRefusal::NameTaken`]; [`AwsAccountRefusal::NotHere`].
    pub async fn create_aws_account(
        &self,
        actor: &Actor,
        new: NewAwsAccount,
    ) -> Result<AwsAccountView, AppError> {
        let attempt = attempt("aws_account.create").on(target(&new.name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        self.resource_accounts()?;
        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let limit = i64::try_from(MAX_ACCOUNTS).unwrap_or(i64::MAX);
        if aws_accounts::list(&mut tx, actor.tenant, None, limit)
            .await?
            .len()
            == MAX_ACCOUNTS
        {
            let why = format!("an organisation has at most {MAX_ACCOUNTS} AWS accounts");
            return Err(AppError::invalid("name", why));
        }
        let id = AwsAccountId(Uuid::now_v7());
        let external_id = ExternalId::generate().to_string();
        let taken = |error: StoreError| match error.is_conflict_on("aws_accounts_name") {
            true => AwsAccountRefusal::NameTaken {
                name: new.name.to_string(),
            }
            .into(),
            false => AppError::Store(error),
        };
        aws_accounts::insert(&mut tx, actor.tenant, id, &new.name, &external_id)
            .await
            .map_err(taken)?;
        let made = self.aws_account_view(found(&mut tx, actor.tenant, &new.name).await?);
        attempt.done(&mut tx, actor, Change::made(json!(made))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.with_policies(made, &[]))
    }

    /// Says which role, where, and what nodes are. Nodes under way stay as they are; the role is tried first.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AppError::Invalid`] by field; [`AwsAccountRefusal::NotHere`].
    pub async fn update_aws_account(
        &self,
        actor: &Actor,
        name: &AwsAccountName,
        config: AwsAccountConfig,
    ) -> Result<AwsAccountView, AppError> {
        let attempt = attempt("aws_account.update").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let (aws, accounts) = self.resource_accounts()?;
        let before = {
            let mut connection = self.store().connection().await?;
            found(&mut connection, actor.tenant, name).await?
        };
        let config = judged(aws, accounts, &before, config)?;
        refuse_another_place(&before, &config)?;
        self.prove_account(aws, &before, &config).await?;

        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let now = found(&mut tx, actor.tenant, name).await?;
        if (now.id, now.version) != (before.id, before.version) {
            let why = "somebody changed it at the same moment: look at it and try again";
            return Err(AppError::invalid("role_arn", why));
        }
        refuse_another_place(&now, &config)?;
        aws_accounts::configure(&mut tx, actor.tenant, now.id, &config).await?;
        let after = self.aws_account_view(found(&mut tx, actor.tenant, name).await?);
        let change = Change::between(json!(self.aws_account_view(before)), json!(after));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AwsAccountRefusal::InUse`].
    pub async fn delete_aws_account(&self, actor: &Actor, name: &AwsAccountName) -> Result<(), AppError> {
        let attempt = attempt("aws_account.delete").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let mut tx = self.store().begin().await?;
        // Whoever makes a cluster in it holds the same lock.
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let record = found(&mut tx, actor.tenant, name).await?;
        if !record.used_by.is_empty() {
            return Err(AwsAccountRefusal::InUse {
                name: name.to_string(),
                clusters: record.used_by,
            }
            .into());
        }
        aws_accounts::remove(&mut tx, actor.tenant, record.id).await?;
        let change = Change::removed(json!(self.aws_account_view(record)));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Asks AWS there whether nodes could be had, and makes nothing.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AwsAccountRefusal::NotConfigured`]; [`AwsAccountRefusal::NotHere`].
    pub async fn check_aws_account(
        &self,
        actor: &Actor,
        name: &AwsAccountName,
    ) -> Result<AwsAccountCheck, AppError> {
        let attempt = attempt("aws_account.check").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let (aws, accounts) = self.resource_accounts()?;
        let record = {
            let mut connection = self.store().connection().await?;
            found(&mut connection, actor.tenant, name).await?
        };
        let not_yet = || AwsAccountRefusal::NotConfigured {
            name: name.to_string(),
        };
        let config = record.config.clone().ok_or_else(not_yet)?;
        let next = next_external_ids::looked_at(aws, &record, &config).await;
        let checks = accounts.opens.check(&account(&record, config)).await;
        let checks: Vec<_> = checks.into_iter().map(check_view).chain(next).collect();
        let found = AwsAccountCheck {
            ok: !checks.iter().any(|check| check.blocks),
            checks,
        };
        let mut tx = self.store().begin().await?;
        attempt
            .done(&mut tx, actor, Change::made(json!({"ok": found.ok})))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(found)
    }

    pub(crate) fn aws_account_view(&self, record: AwsAccountRecord) -> AwsAccountView {
        let aws = self.config().aws.as_ref();
        let present = std::iter::once(record.external_id.as_str());
        let external_ids: Vec<_> = present.chain(record.next_external_id.as_deref()).collect();
        AwsAccountView {
            id: record.id,
            principal: aws.map(|aws| aws.principal().to_string()),
            trust_policy: aws.map(|aws| aws.trust_policy(&external_ids)),
            permissions_policy: None,
            terraform: None,
            name: record.name,
            external_id: record.external_id,
            next_external_id: record.next_external_id,
            config: record.config,
            refusal: record.refusal,
            used_by: record.used_by,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }

    pub(crate) fn resource_accounts(&self) -> Result<(&AwsIdentity, &ResourceAccounts), AppError> {
        let (aws, accounts) = (&self.config().aws, &self.config().accounts);
        let both = aws.as_ref().zip(accounts.as_ref());
        both.ok_or_else(|| AwsAccountRefusal::NotHere.into())
    }

    /// A role that lets Updraft in by this account's external id, and by no other.
    async fn prove_account(
        &self,
        aws: &AwsIdentity,
        before: &AwsAccountRecord,
        config: &AwsAccountConfig,
    ) -> Result<(), AppError> {
        let role = Role::of_account(&before.name, &config.role_arn, &before.external_id);
        let role = role.ok_or(AppError::Internal {
            what: "reading a role back",
        })?;
        let proven = aws.prove(&role).await;
        proven.map(drop).map_err(|refused| refused.at("role_arn"))
    }
}

/// What queues of the clusters there name for their workers, each once.
pub(crate) async fn queue_types(
    connection: &mut PgConnection,
    actor: &Actor,
    account: AwsAccountId,
) -> Result<Vec<String>, AppError> {
    let there = node_accounts::clusters_in(connection, account).await?;
    let limit = i64::try_from(there.len()).unwrap_or(i64::MAX);
    let records = clusters::list(connection, actor.tenant, actor.user, Some(&there), None, limit).await?;
    let queues = records.into_iter().flat_map(|record| record.spec.worker_queues);
    let types: BTreeSet<_> = queues.filter_map(|queue| queue.instance_type).collect();
    Ok(types.into_iter().collect())
}

/// The account that a new cluster is in.
pub(crate) async fn chosen(
    tx: &mut PgConnection,
    tenant: TenantId,
    accounts: Option<&ResourceAccounts>,
    named: Option<&AwsAccountName>,
) -> Result<Option<(AwsAccountId, AwsAccountName)>, AppError> {
    let refuse = |why: String| Err(AppError::invalid("aws_account", why));
    let Some(accounts) = accounts else {
        return match named {
            None => Ok(None),
            Some(_) => refuse("this installation has nodes in its own place alone: leave it out".to_owned()),
        };
    };
    let record = match named {
        Some(name) => aws_accounts::find(tx, tenant, name).await?,
        None if accounts.shared => return Ok(None),
        None => the_only_one(aws_accounts::list(tx, tenant, None, 2).await?)?,
    };
    match (record, named) {
        (Some(record), _) if record.config.is_none() => {
            let name = record.name;
            refuse(format!(
                "`{name}` is not set up yet: an owner says where nodes are with `updraft aws-account update {name}`"
            ))
        }
        (Some(record), _) => Ok(Some((record.id, record.name))),
        (None, Some(name)) => refuse(format!(
            "there is no AWS account `{name}`: an owner makes it with `updraft aws-account create`"
        )),
        (None, None) => refuse(
            "your organisation has no AWS account yet for its nodes: an owner makes one with `updraft aws-account create`"
                .to_owned(),
        ),
    }
}

fn the_only_one(mut accounts: Vec<AwsAccountRecord>) -> Result<Option<AwsAccountRecord>, AppError> {
    if accounts.len() > 1 {
        let why = "your organisation has several: name the one that its nodes are to be in";
        return Err(AppError::invalid("aws_account", why));
    }
    Ok(accounts.pop())
}

/// What can be known to be wrong without asking AWS.
fn judged(
    aws: &AwsIdentity,
    accounts: &ResourceAccounts,
    record: &AwsAccountRecord,
    config: AwsAccountConfig,
) -> Result<AwsAccountConfig, AppError> {
    let arn = config.role_arn.trim().parse::<RoleArn>();
    let arn = arn.map_err(|error| AppError::invalid("role_arn", error.to_string()))?;
    if aws.is_of(arn.account()) {
        let why = "this is Updraft's own account: name a role in yours, which trusts Updraft";
        return Err(AppError::invalid("role_arn", why));
    }
    let config = AwsAccountConfig {
        role_arn: arn.to_string(),
        ..config
    };
    let fault = accounts.opens.judge(&account(record, config.clone()));
    fault.map_err(|fault| AppError::invalid(fault.field, fault.why))?;
    Ok(config)
}

/// Where its clusters' nodes are stays: nobody would find them elsewhere.
fn refuse_another_place(record: &AwsAccountRecord, config: &AwsAccountConfig) -> Result<(), AppError> {
    let Some(before) = record.config.as_ref().filter(|_| !record.used_by.is_empty()) else {
        return Ok(());
    };
    let owner = |arn: &str| arn.parse::<RoleArn>().ok().map(|arn| arn.account().clone());
    let field = match () {
        () if before.region != config.region => "region",
        () if owner(&before.role_arn) != owner(&config.role_arn) => "role_arn",
        () => return Ok(()),
    };
    let why = format!(
        "the clusters `{}` have nodes there, which nobody would find elsewhere: make another AWS account, or delete them first",
        record.used_by.join("`, `")
    );
    Err(AppError::invalid(field, why))
}

fn account(record: &AwsAccountRecord, config: AwsAccountConfig) -> TenantAccount {
    TenantAccount {
        id: record.id,
        external_id: record.external_id.clone(),
        config,
        version: record.version,
    }
}

fn check_view(check: AccountCheck) -> AwsCheck {
    AwsCheck {
        name: check.name,
        ok: check.ok,
        blocks: check.blocks,
        found: check.found,
        remedy: check.remedy,
    }
}

pub(crate) async fn found(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &AwsAccountName,
) -> Result<AwsAccountRecord, AppError> {
    let record = aws_accounts::find(connection, tenant, name).await?;
    record.ok_or(AppError::NotFound(Resource::AwsAccount))
}

pub(crate) fn target(name: &AwsAccountName) -> Target {
    Target::new("aws_account", name, Some(name.as_str()))
}
