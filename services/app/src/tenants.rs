//! The operator's work: tenants come, get more room and go. What is in a tenant stays its own: an operator who is no
//! member sees names and numbers.

use secrecy::SecretString;
use serde_json::{Value, json};
use updraft_api::rest::Page;
use updraft_api::tenants::{MadeTenant, NewOwner, NewTenant, TenantView, UpdateTenant};
use updraft_authz::Actor;
use updraft_model::{TenantId, TenantRole};
use updraft_sso::random_code;
use updraft_store::tenancy::{self, TenantRecord};
use updraft_store::tenants::{self, Quota, Tenant};
use updraft_store::{PgConnection, StoreError, Tx, event_log, people};
use uuid::Uuid;

use crate::audit::{By, Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::people::{checked_email, checked_name, local_account};
use crate::tenancy::TenancyRefusal;
use crate::{App, PageRequest, access};

const USUAL: Quota = Quota {
    max_clusters: 20,
    max_nodes: 100,
};
const MOST: Quota = Quota {
    max_clusters: 10_000,
    max_nodes: 100_000,
};
/// Of 64 symbols each: 144 bits.
const FIRST_PASSWORD_LENGTH: usize = 24;

/// A tenant's first person, checked.
struct Owner {
    email: String,
    name: String,
    password_hash: String,
    /// Only when we made it up.
    shown_once: Option<String>,
}

impl App {
    /// # Errors
    /// [`TenancyRefusal::NotOperator`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_tenants(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<TenantView>, AppError> {
        let (limit, after) = (request.limit()?, request.position::<String>()?);
        let mut connection = self.store().connection().await?;
        access::operator(&mut connection, actor, "see the tenants").await?;
        let records = tenancy::list(&mut connection, after.as_deref(), limit + 1).await?;
        Ok(page(records, limit, |record| record.tenant.name.clone(), view))
    }

    /// # Errors
    /// [`TenancyRefusal::NotOperator`], [`AppError::NotFound`].
    pub async fn show_tenant(&self, actor: &Actor, tenant: TenantId) -> Result<TenantView, AppError> {
        let mut connection = self.store().connection().await?;
        access::operator(&mut connection, actor, "see the tenants").await?;
        found(&mut connection, tenant).await
    }

    /// Makes a tenant with its first owner. Somebody who has a local account becomes its owner with the password they
    /// have.
    ///
    /// # Errors
    /// [`TenancyRefusal::NotOperator`], [`TenancyRefusal::OneTenant`], [`TenancyRefusal::SharedHost`],
    /// [`TenancyRefusal::NameTaken`];
    /// [`AppError::Invalid`] on any field.
    pub async fn create_tenant(&self, actor: &Actor, new: NewTenant) -> Result<MadeTenant, AppError> {
        let attempt = attempt("tenant.create");
        {
            let mut connection = self.store().connection().await?;
            access::operator(&mut connection, actor, "make a tenant").await?;
        }
        let tenant = Tenant {
            id: TenantId(Uuid::now_v7()),
            name: checked_name(&new.name)?,
            quota: checked_quota(USUAL, new.max_clusters, new.max_nodes)?,
        };
        let owner = self.checked_owner(new.owner).await?;
        let mut tx = self.store().begin().await?;
        let others = tenancy::lock_count(&mut tx).await?;
        self.may_have_another_tenant(others)?;
        insert(&mut tx, &tenant).await?;
        let is_new = add_owner(&mut tx, tenant.id, &owner).await?;
        event_log::append(
            &mut tx,
            tenant.id,
            None,
            "tenant_created",
            "The organisation was made",
        )
        .await?;
        let view = found(&mut tx, tenant.id).await?;
        let made = json!({"name": view.name, "limits": limits(tenant.quota), "owner": owner.email});
        attempt
            .on(target(&view))
            .done(&mut tx, By::operator(actor), Change::made(made))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(MadeTenant {
            tenant: view,
            owner_password: owner.shown_once.filter(|_| is_new),
        })
    }

    /// Changes how much a tenant may have. What it has already stays.
    ///
    /// # Errors
    /// [`TenancyRefusal::NotOperator`], [`AppError::NotFound`]; [`AppError::Invalid`] on either number.
    pub async fn update_tenant(
        &self,
        actor: &Actor,
        tenant: TenantId,
        update: UpdateTenant,
    ) -> Result<TenantView, AppError> {
        let attempt = attempt("tenant.update").on(Target::new("tenant", tenant, None));
        let mut tx = self.store().begin().await?;
        access::operator(&mut tx, actor, "change a tenant").await?;
        let now = tenants::lock_quota(&mut tx, tenant).await.map_err(missing)?;
        let quota = checked_quota(now, update.max_clusters, update.max_nodes)?;
        tenancy::set_quota(&mut tx, tenant, quota).await?;
        let view = found(&mut tx, tenant).await?;
        let change = Change::between(limits(now), limits(quota));
        attempt
            .on(target(&view))
            .done(&mut tx, By::operator(actor), change)
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(view)
    }

    /// Deletes a tenant without clusters, with its people as far as they belong nowhere else.
    ///
    /// # Errors
    /// [`TenancyRefusal::NotOperator`], [`TenancyRefusal::NotEmpty`], [`TenancyRefusal::OperatorsOwn`],
    /// [`AppError::NotFound`].
    pub async fn delete_tenant(&self, actor: &Actor, tenant: TenantId) -> Result<(), AppError> {
        let attempt = attempt("tenant.delete").on(Target::new("tenant", tenant, None));
        let mut tx = self.store().begin().await?;
        access::operator(&mut tx, actor, "delete a tenant").await?;
        tenancy::lock(&mut tx, tenant).await.map_err(missing)?;
        let record = found(&mut tx, tenant).await?;
        if record.clusters > 0 {
            return Err(TenancyRefusal::NotEmpty {
                clusters: record.clusters,
            }
            .into());
        }
        if tenant == actor.tenant || tenancy::is_an_operators_only_one(&mut tx, tenant).await? {
            return Err(TenancyRefusal::OperatorsOwn.into());
        }
        tenancy::delete_empty(&mut tx, tenant).await?;
        let was = json!({"name": record.name, "people": record.people});
        attempt
            .on(target(&record))
            .done(&mut tx, By::operator(actor), Change::removed(was))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn checked_owner(&self, new: NewOwner) -> Result<Owner, AppError> {
        let on_owner = |error| match error {
            AppError::Invalid { field, why } => AppError::invalid(format!("owner.{field}"), why),
            other => other,
        };
        let email = checked_email(&new.email).map_err(on_owner)?;
        let name = checked_name(&new.name).map_err(on_owner)?;
        let (password, shown_once) = match new.password {
            Some(given) => (given, None),
            None => {
                let random: String = random_code().chars().take(FIRST_PASSWORD_LENGTH).collect();
                (random.clone(), Some(random))
            }
        };
        let hashed = self
            .passwords()
            .hash(&SecretString::from(password), &[&email, &name])
            .await;
        Ok(Owner {
            email,
            name,
            password_hash: hashed.map_err(AppError::from).map_err(on_owner)?,
            shown_once,
        })
    }
}

async fn insert(tx: &mut Tx, tenant: &Tenant) -> Result<(), AppError> {
    match tenants::insert(tx, tenant).await {
        Err(error) if error.is_conflict_on("tenants_name_key") => Err(TenancyRefusal::NameTaken {
            name: tenant.name.clone(),
        }
        .into()),
        other => Ok(other?),
    }
}

/// Whether the account is a new one.
async fn add_owner(tx: &mut Tx, tenant: TenantId, owner: &Owner) -> Result<bool, AppError> {
    let is_new = people::password_record(tx, &owner.email).await?.is_none();
    let user = local_account(tx, &owner.email, &owner.name, Some(&owner.password_hash))
        .await?
        .0;
    people::insert_membership(tx, tenant, user, TenantRole::Owner).await?;
    Ok(is_new)
}

async fn found(connection: &mut PgConnection, tenant: TenantId) -> Result<TenantView, AppError> {
    let record = tenancy::find(connection, tenant).await?;
    record.map(view).ok_or(AppError::NotFound(Resource::Tenant))
}

fn missing(error: StoreError) -> AppError {
    match error {
        StoreError::Missing { .. } => AppError::NotFound(Resource::Tenant),
        other => other.into(),
    }
}

fn target(view: &TenantView) -> Target {
    Target::new("tenant", view.id, Some(&view.name))
}

fn limits(quota: Quota) -> Value {
    json!({"max_clusters": quota.max_clusters, "max_nodes": quota.max_nodes})
}

fn view(record: TenantRecord) -> TenantView {
    TenantView {
        id: record.tenant.id,
        name: record.tenant.name,
        max_clusters: record.tenant.quota.max_clusters,
        max_nodes: record.tenant.quota.max_nodes,
        clusters: u32::try_from(record.clusters).unwrap_or(u32::MAX),
        people: u32::try_from(record.people).unwrap_or(u32::MAX),
        created_at: record.created_at,
    }
}

fn checked_quota(now: Quota, max_clusters: Option<u32>, max_nodes: Option<u32>) -> Result<Quota, AppError> {
    let within = |field: &str, wanted: Option<u32>, now: u32, most: u32| match wanted {
        Some(number) if number > most => Err(AppError::invalid(field, format!("it is at most {most}"))),
        wanted => Ok(wanted.unwrap_or(now)),
    };
    Ok(Quota {
        max_clusters: within("max_clusters", max_clusters, now.max_clusters, MOST.max_clusters)?,
        max_nodes: within("max_nodes", max_nodes, now.max_nodes, MOST.max_nodes)?,
    })
}
