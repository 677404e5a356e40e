//! Service accounts: owners make them, for programs that would otherwise run as somebody who leaves one day.

use serde_json::json;
use updraft_api::rest::Page;
use updraft_api::tokens::{NewServiceAccount, ServiceAccountView};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{TenantRole, UserId};
use updraft_store::service_accounts::{self, ServiceAccount};
use updraft_store::{StoreError, people, tenants};
use uuid::Uuid;

use crate::audit::{Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access};

const LONGEST_NAME: usize = 40;

impl App {
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_service_accounts(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<ServiceAccountView>, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let (limit, after) = (request.limit()?, request.position::<String>()?);
        let (tenant, now) = (actor.tenant, self.now());
        let mut connection = self.store().connection().await?;
        let accounts =
            service_accounts::list(&mut connection, tenant, after.as_deref(), limit + 1, now).await?;
        Ok(page(accounts, limit, |account| account.name.clone(), view))
    }

    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `name`; [`AppError::ServiceAccountTaken`].
    pub async fn create_service_account(
        &self,
        actor: &Actor,
        new: NewServiceAccount,
    ) -> Result<ServiceAccountView, AppError> {
        let attempt = attempt("service_account.create");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let name = checked_name(&new.name)?;
        let account = ServiceAccount {
            user: UserId(Uuid::now_v7()),
            // RFC 2606: an address that can never be anybody's.
            email: format!("{name}@service.invalid"),
            name,
            created_at: self.now(),
            tokens: 0,
        };
        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        if service_accounts::exists(&mut tx, actor.tenant, &account.name).await? {
            return Err(AppError::ServiceAccountTaken { name: account.name });
        }
        service_accounts::insert_user(&mut tx, account.user, &account.name, &account.email).await?;
        people::insert_membership(&mut tx, actor.tenant, account.user, TenantRole::Member).await?;
        let account = view(account);
        attempt
            .on(Target::new("service_account", account.user, Some(&account.name)))
            .done(&mut tx, actor, Change::made(json!(account)))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(account)
    }

    /// Its tokens are worth nothing from now on, its roles are gone.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`].
    pub async fn delete_service_account(&self, actor: &Actor, user: UserId) -> Result<(), AppError> {
        let attempt = attempt("service_account.delete");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let name = service_accounts::find_name(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::ServiceAccount))?;
        people::remove_member(&mut tx, actor.tenant, user).await?;
        attempt
            .on(Target::new("service_account", user, Some(&name)))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn checked_name(name: &str) -> Result<String, AppError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.len() <= LONGEST_NAME && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(AppError::invalid(
        "name",
        "a service account's name is 1 to 40 lower-case letters, digits and hyphens, beginning with a letter",
    ))
}

fn view(account: ServiceAccount) -> ServiceAccountView {
    ServiceAccountView {
        user: account.user,
        name: account.name,
        email: account.email,
        created_at: account.created_at,
        tokens: u32::try_from(account.tokens).unwrap_or(u32::MAX),
    }
}
