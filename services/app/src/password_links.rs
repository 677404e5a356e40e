//! Links by which somebody sets a password without knowing the old one: made by an owner, good once, for a day; or mailed
//! to the account's own address, see `forgotten_password`.
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
use updraft_store::password_links::{self, LinkHolder, NewLink, Way};
use updraft_store::{PgConnection, StoreError, event_log, memberships, people, sessions};

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
        let link = self.new_link(&mut tx, user, Way::Reset(actor.tenant)).await?;
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
        let change = Change::made(json!({"sessions_ended": ended}));
        for tenant in trusting(&mut tx, &holder).await? {
            let by = By::by_link(tenant, holder.user, &holder.email);
            attempt.done(&mut tx, by, change.clone()).await?;
        }
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
        self.new_link(tx, user, Way::Invite(tenant)).await
    }

    /// Looks like a link and is none: nobody learns from an invitation who had an account before.
    pub(crate) fn no_invite(&self) -> PasswordLink {
        self.link(&random_code(), self.now() + LIFETIME)
    }

    pub(crate) async fn new_link(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        way: Way,
    ) -> Result<PasswordLink, AppError> {
        let code = random_code();
        let link = NewLink {
            hash: sha256(code.as_bytes()),
            user,
            way,
            expires_at: self.now() + LIFETIME,
        };
        password_links::insert(tx, &link).await?;
        Ok(self.link(&code, link.expires_at))
    }

    fn link(&self, code: &str, expires_at: DateTime<Utc>) -> PasswordLink {
        PasswordLink {
            link: self.password_page(code),
            expires_at,
        }
    }

    /// On the console's own address, whatever host a request named.
    pub(crate) fn password_page(&self, code: &str) -> String {
        let console = self.config().console_url.trim_end_matches('/');
        format!("{console}/password?link={code}")
    }

    async fn holder(&self, tx: &mut PgConnection, link: &str) -> Result<LinkHolder, AppError> {
        let hash = sha256(link.trim().as_bytes());
        let found = match password_links::find_live(tx, &hash, self.now()).await? {
            None => password_links::find_live_mailed(tx, &hash, self.now()).await?,
            found => found,
        };
        found.ok_or(AppError::LinkRefused)
    }
}

/// The tenants whose people the holder is one of: each is told.
async fn trusting(tx: &mut PgConnection, holder: &LinkHolder) -> Result<Vec<TenantId>, AppError> {
    let belongings = memberships::of_person(tx, holder.user).await?;
    let others = belongings.into_iter().map(|belonging| belonging.tenant);
    let others = others.filter(|tenant| *tenant != holder.tenant);
    Ok(std::iter::once(holder.tenant).chain(others).collect())
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
