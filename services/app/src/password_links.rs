//! Links by which somebody sets a password without knowing the old one: made by an owner, good once, for a day.
//!
//! An owner decides about accounts that are the tenant's alone. One that another tenant trusts too, or an operator's,
//! is nobody's to hand out, and a link made before it became so is worth nothing afterwards.

use chrono::{DateTime, Duration, Utc};
use secrecy::SecretString;
use serde_json::json;
use updraft_api::passwords::{PasswordLink, SetPassword};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{TenantId, UserId};
use updraft_sso::{random_code, sha256};
use updraft_store::password_links::{self, LinkHolder, NewLink};
use updraft_store::{PgConnection, StoreError, event_log, people, sessions};

use crate::audit::{By, Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::{App, access};

const LIFETIME: Duration = Duration::hours(24);

impl App {
    /// A link by which this person sets a new password. Those made before are worth nothing any more.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NeedsSession`], [`AppError::NotFound`]; [`AppError::NotOursAlone`].
    pub async fn create_password_link(&self, actor: &Actor, user: UserId) -> Result<PasswordLink, AppError> {
        let attempt = attempt("password_link.create").on(Target::new("person", user, None));
        access::tenant(actor, TenantAction::ManagePeople)?;
        access::session(actor, "make a password link")?;
        let mut tx = self.store().begin().await?;
        let member = people::find_member(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        own_account(&mut tx, actor.tenant, user).await?;
        password_links::use_up(&mut tx, user, self.now()).await?;
        let link = self.new_link(&mut tx, actor.tenant, user, false).await?;
        let message = format!("{} made a password link for {}", actor.email, member.email);
        event_log::append(&mut tx, actor.tenant, None, "password_link_made", &message).await?;
        let made = json!({"expires_at": link.expires_at});
        let attempt = attempt.on(Target::person(user, &member.email));
        attempt.done(&mut tx, actor, Change::made(made)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(link)
    }

    /// Whose password this link sets.
    ///
    /// # Errors
    /// [`AppError::LinkRefused`].
    pub async fn find_password_link(&self, link: &str) -> Result<LinkHolder, AppError> {
        let mut tx = self.store().begin().await?;
        self.holder(&mut tx, link).await
    }

    /// Sets a password by a link, and ends all sessions of the person. The link is worth nothing any more.
    ///
    /// # Errors
    /// [`AppError::LinkRefused`]; [`AppError::Invalid`] on `password`.
    pub async fn set_password(&self, set: SetPassword) -> Result<(), AppError> {
        let attempt = attempt("password.reset");
        let holder = self.find_password_link(&set.link).await?;
        let attempt = attempt
            .on(Target::person(holder.user, &holder.email))
            .claimed_by(&holder.email);
        let password = SecretString::from(set.password);
        let whose = [holder.email.as_str(), &holder.name];
        let hash = self.passwords().hash(&password, &whose).await?;
        let mut tx = self.store().begin().await?;
        // Again, and locked: of two who use it at once one is too late.
        let holder = self.holder(&mut tx, &set.link).await?;
        people::set_password_hash(&mut tx, holder.user, &hash).await?;
        password_links::use_up(&mut tx, holder.user, self.now()).await?;
        let ended = sessions::revoke_of(&mut tx, holder.user, self.now()).await?;
        let by = By::by_link(holder.tenant, holder.user, &holder.email);
        let change = Change::made(json!({"sessions_ended": ended}));
        attempt.done(&mut tx, by, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// A link for an account that was just made.
    pub(crate) async fn invite(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        user: UserId,
    ) -> Result<PasswordLink, AppError> {
        self.new_link(tx, tenant, user, true).await
    }

    /// Looks like a link and is none: nobody learns from an invitation who had an account before.
    pub(crate) fn no_invite(&self) -> PasswordLink {
        self.link(&random_code(), self.now() + LIFETIME)
    }

    async fn new_link(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        user: UserId,
        invite: bool,
    ) -> Result<PasswordLink, AppError> {
        let code = random_code();
        let link = NewLink {
            hash: sha256(code.as_bytes()),
            tenant,
            user,
            invite,
            expires_at: self.now() + LIFETIME,
        };
        password_links::insert(tx, &link).await?;
        Ok(self.link(&code, link.expires_at))
    }

    fn link(&self, code: &str, expires_at: DateTime<Utc>) -> PasswordLink {
        let console = self.config().console_url.trim_end_matches('/');
        PasswordLink {
            link: format!("{console}/password?link={code}"),
            expires_at,
        }
    }

    async fn holder(&self, tx: &mut PgConnection, link: &str) -> Result<LinkHolder, AppError> {
        let hash = sha256(link.trim().as_bytes());
        let found = password_links::find_live(tx, &hash, self.now()).await?;
        found.ok_or(AppError::LinkRefused)
    }
}

/// Refuses what an owner may not decide about: see above.
pub(crate) async fn own_account(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<(), AppError> {
    match password_links::lock_own_account(tx, tenant, user).await? {
        true => Ok(()),
        false => Err(AppError::NotOursAlone),
    }
}
