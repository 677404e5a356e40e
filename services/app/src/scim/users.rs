//! People of the directory.

use serde_json::{Value, json};
use updraft_model::{TenantRole, UserId};
use updraft_sso::scim::{PatchRequest, UserResource, apply};
use updraft_store::scim_users::{self, ScimPerson, ScimUser};
use updraft_store::{StoreError, Tx, event_log, memberships, people, scim_groups};
use uuid::Uuid;

use super::{Directory, ScimError, ScimQuery, ScimResource, render, written};
use crate::audit::{Change, Target, attempt};
use crate::{App, AppError};

impl App {
    /// # Errors
    /// [`ScimError::Refused`], [`ScimError::Taken`].
    pub async fn scim_create_user(&self, by: &Directory, body: &Value) -> Result<ScimResource, ScimError> {
        let attempt = attempt("directory.person_add");
        let resource = UserResource::parse(body)?;
        let (email, name) = (resource.email(), resource.name());
        let person = person(&resource, &email, &name);
        let tenant = by.actor.tenant;
        let mut tx = self.store().begin().await?;
        let user = match scim_users::find_adoptable(&mut tx, tenant, &email).await? {
            Some(known) => known,
            None => {
                let user = UserId(Uuid::now_v7());
                scim_users::insert_person(&mut tx, tenant, user, &person).await?;
                user
            }
        };
        scim_users::insert(&mut tx, tenant, user, &person)
            .await
            .map_err(written("userName", &resource.user_name))?;
        self.set_active(&mut tx, by, user, resource.active).await?;
        let message = format!("The directory added {}", resource.user_name);
        event_log::append(&mut tx, tenant, None, "person_added", &message).await?;
        let made = json!({"user_name": resource.user_name, "email": email, "active": resource.active});
        let attempt = attempt.on(Target::person(user, &email));
        attempt.done(&mut tx, &by.actor, Change::made(made)).await?;
        let shown = self.shown_user(&mut tx, by, user).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(shown)
    }

    /// # Errors
    /// [`ScimError::NotFound`]
    pub async fn scim_show_user(&self, by: &Directory, user: UserId) -> Result<ScimResource, ScimError> {
        let mut tx = self.store().begin().await?;
        let shown = self.shown_user(&mut tx, by, user).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(shown)
    }

    /// # Errors
    /// [`ScimError::Refused`] for the filter.
    pub async fn scim_list_users(&self, by: &Directory, query: &ScimQuery) -> Result<Value, ScimError> {
        let filter = query.users()?;
        let mut connection = self.store().connection().await?;
        let (skip, limit) = (query.skip(), query.count());
        let tenant = by.actor.tenant;
        let (total, records) = scim_users::list(&mut connection, tenant, &filter, skip, limit).await?;
        let ids: Vec<_> = records.iter().map(|record| record.user).collect();
        let groups = scim_groups::of_users(&mut connection, tenant, &ids).await?;
        let base = &self.config().console_url;
        let shown = records
            .into_iter()
            .map(|record| render::user(base, record, &groups));
        Ok(render::list(query, total, shown.collect()))
    }

    /// # Errors
    /// [`ScimError::NotFound`], [`ScimError::Refused`], [`ScimError::Taken`], [`ScimError::Changed`];
    /// [`AppError::LastOwner`] when it would switch the last owner off.
    pub async fn scim_replace_user(
        &self,
        by: &Directory,
        user: UserId,
        if_match: Option<&str>,
        body: &Value,
    ) -> Result<ScimResource, ScimError> {
        let wanted = UserResource::parse(body)?;
        self.rewrite_user(by, user, if_match, |_| Ok(wanted.clone()))
            .await
    }

    /// # Errors
    /// As [`App::scim_replace_user`].
    pub async fn scim_patch_user(
        &self,
        by: &Directory,
        user: UserId,
        if_match: Option<&str>,
        patch: &PatchRequest,
    ) -> Result<ScimResource, ScimError> {
        let change = |now: &UserResource| Ok(UserResource::parse(&apply(&now.document(), patch)?)?);
        self.rewrite_user(by, user, if_match, change).await
    }

    /// Takes a person out of the directory and switches them off. What they did stays theirs.
    ///
    /// # Errors
    /// [`ScimError::NotFound`], [`ScimError::Changed`]; [`AppError::LastOwner`].
    pub async fn scim_delete_user(
        &self,
        by: &Directory,
        user: UserId,
        if_match: Option<&str>,
    ) -> Result<(), ScimError> {
        let attempt = attempt("directory.person_remove").on(Target::new("person", user, None));
        let mut tx = self.store().begin().await?;
        let record = found(&mut tx, by, user, if_match).await?;
        self.set_active(&mut tx, by, user, false).await?;
        scim_users::delete(&mut tx, by.actor.tenant, user).await?;
        let message = format!("The directory removed {}", record.user_name);
        event_log::append(&mut tx, by.actor.tenant, None, "person_removed", &message).await?;
        let was = json!({"user_name": record.user_name});
        attempt.done(&mut tx, &by.actor, Change::removed(was)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Writes what becomes of a person; the same again is no new version.
    async fn rewrite_user(
        &self,
        by: &Directory,
        user: UserId,
        if_match: Option<&str>,
        change: impl Fn(&UserResource) -> Result<UserResource, ScimError>,
    ) -> Result<ScimResource, ScimError> {
        let attempt = attempt("directory.person_change").on(Target::new("person", user, None));
        let mut tx = self.store().begin().await?;
        let record = found(&mut tx, by, user, if_match).await?;
        let now = resource(&record);
        let wanted = change(&now)?;
        if wanted != now {
            let (email, name) = (wanted.email(), wanted.name());
            let person = person(&wanted, &email, &name);
            scim_users::update(&mut tx, by.actor.tenant, user, record.version, &person)
                .await
                .map_err(written("userName", &wanted.user_name))?;
            self.set_active(&mut tx, by, user, wanted.active).await?;
            if wanted.active != now.active {
                let verb = if wanted.active {
                    "switched on"
                } else {
                    "switched off"
                };
                let message = format!("The directory {verb} {}", wanted.user_name);
                event_log::append(&mut tx, by.actor.tenant, None, "person_switched", &message).await?;
            }
            let attempt = attempt.on(Target::person(user, &email));
            attempt
                .done(&mut tx, &by.actor, Change::between(told(&now), told(&wanted)))
                .await?;
        }
        let shown = self.shown_user(&mut tx, by, user).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(shown)
    }

    /// # Errors
    /// [`AppError::LastOwner`] when nobody would be left who can manage the tenant.
    async fn set_active(
        &self,
        tx: &mut Tx,
        by: &Directory,
        user: UserId,
        active: bool,
    ) -> Result<(), ScimError> {
        let tenant = by.actor.tenant;
        if active {
            return Ok(memberships::enable(tx, tenant, user).await?);
        }
        let owners = people::lock_owners(tx, tenant).await?;
        let member = people::find_member(tx, tenant, user)
            .await?
            .ok_or(ScimError::NotFound)?;
        let record = scim_users::find(tx, tenant, user).await?;
        let works = record.is_none_or(|record| record.active);
        if member.tenant_role == TenantRole::Owner && works && owners <= 1 {
            return Err(AppError::LastOwner.into());
        }
        Ok(memberships::disable(tx, tenant, user, self.now()).await?)
    }

    async fn shown_user(&self, tx: &mut Tx, by: &Directory, user: UserId) -> Result<ScimResource, ScimError> {
        let record = found(tx, by, user, None).await?;
        let groups = scim_groups::of_users(tx, by.actor.tenant, &[user]).await?;
        Ok(render::user(&self.config().console_url, record, &groups))
    }
}

/// At the version the directory thinks it is at.
async fn found(
    tx: &mut Tx,
    by: &Directory,
    user: UserId,
    if_match: Option<&str>,
) -> Result<ScimUser, ScimError> {
    let record = scim_users::find(tx, by.actor.tenant, user).await?;
    let record = record.ok_or(ScimError::NotFound)?;
    match if_match {
        Some(tag) if tag != "*" && tag != render::etag(record.version) => Err(ScimError::Changed),
        _ => Ok(record),
    }
}

fn person<'a>(resource: &'a UserResource, email: &'a str, name: &'a str) -> ScimPerson<'a> {
    ScimPerson {
        user_name: &resource.user_name,
        external_id: resource.external_id.as_deref(),
        attributes: &resource.attributes,
        email,
        name,
    }
}

fn resource(record: &ScimUser) -> UserResource {
    UserResource {
        user_name: record.user_name.clone(),
        external_id: record.external_id.clone(),
        active: record.active,
        attributes: record.attributes.clone(),
    }
}

/// What of it the audit log tells.
fn told(resource: &UserResource) -> Value {
    json!({
        "user_name": resource.user_name,
        "email": resource.email(),
        "name": resource.name(),
        "active": resource.active,
    })
}
