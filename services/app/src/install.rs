//! What the installation itself does, on nobody's behalf: the first tenant and its owner, and tidying up.

use chrono::Duration;
use secrecy::SecretString;
use serde_json::json;
use updraft_model::{TenantId, TenantRole, UserId};
use updraft_sso::Passwords;
use updraft_store::tenants::{self, Quota, Tenant};
use updraft_store::{
    Store, StoreError, api_tokens, device_authorizations, handover_codes, idempotency_keys, mail_outbox,
    password_links, people, saml_assertions, sessions, sign_in_attempts,
};
use uuid::Uuid;

use crate::audit::{By, Change, Target, besides};
use crate::people::{checked_email, checked_name};
use crate::{App, AppError};

/// Makes a tenant with its first owner. False, and nothing done, when there is a tenant of that name.
///
/// # Errors
/// [`AppError::Invalid`] on the address, name or password; [`AppError::EmailTaken`].
pub async fn install_tenant(
    store: &Store,
    passwords: &Passwords,
    tenant_name: &str,
    quota: Quota,
    owner: FirstOwner<'_>,
) -> Result<bool, AppError> {
    let (email, name) = (checked_email(owner.email)?, checked_name(owner.name)?);
    let hash = passwords.hash(owner.password, &[&email, &name]).await?;
    let tenant = Tenant {
        id: TenantId(Uuid::now_v7()),
        name: checked_name(tenant_name)?,
        quota,
    };
    let mut tx = store.begin().await?;
    match tenants::insert(&mut tx, &tenant).await {
        Err(error) if error.is_conflict_on("tenants_name_key") => return Ok(false),
        other => other?,
    }
    let user = UserId(Uuid::now_v7());
    people::insert_user(&mut tx, user, &email, &name, Some(&hash))
        .await
        .map_err(|error| match error.is_conflict_on("users_email_key") {
            true => AppError::EmailTaken { email: email.clone() },
            false => AppError::Store(error),
        })?;
    people::insert_membership(&mut tx, tenant.id, user, TenantRole::Owner).await?;
    let made = json!({"name": tenant.name, "owner": email});
    besides("tenant.install")
        .on(Target::new("tenant", tenant.id, Some(&tenant.name)))
        .done(&mut tx, By::system(Some(tenant.id)), Change::made(made))
        .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(true)
}

/// The person a new tenant begins with.
#[derive(Clone, Copy, Debug)]
pub struct FirstOwner<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a SecretString,
}

impl App {
    /// [`install_tenant`] on this installation.
    ///
    /// # Errors
    /// As [`install_tenant`].
    pub async fn install_tenant(
        &self,
        tenant_name: &str,
        quota: Quota,
        email: &str,
        name: &str,
        password: &SecretString,
    ) -> Result<bool, AppError> {
        let owner = FirstOwner {
            email,
            name,
            password,
        };
        install_tenant(self.store(), self.passwords(), tenant_name, quota, owner).await
    }

    /// Forgets what has expired: sessions, hand-over codes, idempotency keys. For a background task.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn tidy(&self) -> Result<(), AppError> {
        let now = self.now();
        let mut connection = self.store().connection().await?;
        handover_codes::delete_expired(&mut connection, now - Duration::minutes(10)).await?;
        sessions::delete_expired(&mut connection, now - Duration::days(1)).await?;
        sign_in_attempts::delete_expired(&mut connection, now - Duration::hours(1)).await?;
        saml_assertions::delete_expired(&mut connection, now).await?;
        idempotency_keys::delete_older(&mut connection, now - Duration::days(1)).await?;
        device_authorizations::delete_expired(&mut connection, now - Duration::hours(1)).await?;
        password_links::delete_expired(&mut connection, now - Duration::days(1)).await?;
        mail_outbox::delete_older(&mut connection, now - Duration::days(1)).await?;
        api_tokens::delete_dead(&mut connection, now - Duration::days(30)).await?;
        Ok(())
    }
}
