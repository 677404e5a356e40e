//! How a tenant's people may sign in.

use serde_json::json;
use updraft_api::sign_in::{SignInRules, UpdateSignInRules};
use updraft_authz::{Actor, TenantAction};
use updraft_store::ways_in;
use updraft_store::{StoreError, provider_sessions};

use super::lockout;
use crate::audit::{Change, Target, attempt};
use crate::{App, AppError, access};

const SHORTEST: u32 = 300;
const LONGEST: u32 = 2_592_000;

impl App {
    /// # Errors
    /// [`AppError::Forbidden`].
    pub async fn sign_in_rules(&self, actor: &Actor) -> Result<SignInRules, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut connection = self.store().connection().await?;
        Ok(view(ways_in::rules(&mut connection, actor.tenant).await?))
    }

    /// Without passwords, sessions that began with one end, but the actor's own.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Invalid`]; [`super::SsoError::NoOwnerThere`].
    pub async fn update_sign_in_rules(
        &self,
        actor: &Actor,
        update: UpdateSignInRules,
    ) -> Result<SignInRules, AppError> {
        let attempt = attempt("sign_in_rules.update");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let ways = ways_in::lock(&mut tx, actor.tenant).await?;
        let before = ways_in::rules(&mut tx, actor.tenant).await?;
        let mut rules = before;
        if let Some(allowed) = update.password_sign_in {
            if rules.password_sign_in && !allowed {
                lockout::may_lose_passwords(&ways)?;
                let kept = actor.credential.session();
                provider_sessions::revoke_by_password(&mut tx, actor.tenant, kept, self.now()).await?;
            }
            rules.password_sign_in = allowed;
        }
        if let Some(seconds) = update.session_seconds {
            rules.session_seconds = checked_seconds(seconds)?;
        }
        ways_in::set_rules(&mut tx, actor.tenant, rules).await?;
        attempt
            .on(Target::new("tenant", actor.tenant, None))
            .done(
                &mut tx,
                actor,
                Change::between(json!(view(before)), json!(view(rules))),
            )
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(view(rules))
    }
}

fn checked_seconds(seconds: u32) -> Result<Option<i32>, AppError> {
    match seconds {
        0 => Ok(None),
        SHORTEST..=LONGEST => Ok(i32::try_from(seconds).ok()),
        _ => Err(AppError::invalid(
            "session_seconds",
            "a session lasts 300 to 2,592,000 seconds; 0 is the installation's own limit",
        )),
    }
}

fn view(rules: ways_in::SignInRules) -> SignInRules {
    SignInRules {
        password_sign_in: rules.password_sign_in,
        session_seconds: rules
            .session_seconds
            .and_then(|seconds| u32::try_from(seconds).ok()),
    }
}
