//! The second factor of a sign-in by password: set up and taken away by its person, taken away by an owner when the
//! telephone is lost.
//!
//! A code is good once, tries are counted per person, whoever they come from, and a right password forgives none of
//! them. What a tenant's identity provider vouches for needs no code of ours.

use std::net::IpAddr;

use secrecy::ExposeSecret as _;
use updraft_api::passwords::{
    ConfirmSecondFactor, RecoveryCodesMade, RemoveSecondFactor, SecondFactorBegun, SecondFactorView,
};
use updraft_authz::{Actor, TenantAction};
use updraft_model::UserId;
use updraft_sso::{
    BadTotpSecret, EmailPassword, IdentityProvider as _, RecoveryCodes, TotpSecret, recovery_hash,
};
use updraft_store::second_factors::{self, SecondFactor};
use updraft_store::{PgConnection, StoreError, event_log, people};

use crate::audit::{Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::password_links::own_account;
use crate::{App, access};

impl App {
    /// # Errors
    /// When the database cannot be asked.
    pub async fn show_second_factor(&self, actor: &Actor) -> Result<SecondFactorView, AppError> {
        let mut connection = self.store().connection().await?;
        let found = self.second_factor(&mut connection, actor.user).await?;
        Ok(SecondFactorView {
            on: found.is_some(),
            recovery_codes_left: found.map_or(0, |factor| factor.recovery_left),
        })
    }

    /// A new secret for an authenticator app. It counts once a code of it was shown.
    ///
    /// # Errors
    /// [`AppError::NeedsSession`]; [`AppError::SecondFactorIsOn`].
    pub async fn begin_second_factor(&self, actor: &Actor) -> Result<SecondFactorBegun, AppError> {
        let attempt = attempt("second_factor.begin").on(Target::person(actor.user, &actor.email));
        access::session(actor, "set up a second factor")?;
        let secret = TotpSecret::random();
        let key = &self.config().master_key;
        let mut tx = self.store().begin().await?;
        if !second_factors::begin(&mut tx, key, actor.user, secret.expose()).await? {
            return Err(AppError::SecondFactorIsOn);
        }
        attempt.done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(SecondFactorBegun {
            secret: secret.expose().expose_secret().to_owned(),
            uri: secret.uri(&actor.email)?,
        })
    }

    /// The secret that waits to be confirmed, and its picture: inline SVG.
    ///
    /// # Errors
    /// [`AppError::NeedsSession`].
    pub async fn pending_second_factor(&self, actor: &Actor) -> Result<Option<(String, String)>, AppError> {
        access::session(actor, "set up a second factor")?;
        let mut connection = self.store().connection().await?;
        let key = &self.config().master_key;
        let found = second_factors::find(&mut connection, key, actor.user).await?;
        let Some(factor) = found.filter(|factor| !factor.confirmed) else {
            return Ok(None);
        };
        let text = factor.secret.expose_secret().to_owned();
        let picture = TotpSecret::from_stored(factor.secret).picture(&actor.email)?;
        Ok(Some((text, picture)))
    }

    /// From now on signing in by password takes a code. Gives the recovery codes, this once.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `code`; [`AppError::SecondFactorIsOn`]; [`AppError::TooManyTries`];
    /// [`AppError::NeedsSession`].
    pub async fn confirm_second_factor(
        &self,
        actor: &Actor,
        confirm: ConfirmSecondFactor,
        from: IpAddr,
    ) -> Result<RecoveryCodesMade, AppError> {
        let attempt = attempt("second_factor.confirm").on(Target::person(actor.user, &actor.email));
        access::session(actor, "set up a second factor")?;
        self.count_code(actor.user, from)?;
        let wrong = || AppError::invalid("code", "this is not the code that the app shows now");
        let key = &self.config().master_key;
        let mut tx = self.store().begin().await?;
        let found = second_factors::find(&mut tx, key, actor.user).await?;
        let factor = found.ok_or_else(wrong)?;
        let secret = TotpSecret::from_stored(factor.secret);
        let step = secret
            .step_of(&confirm.code, factor.last_step, self.now())?
            .ok_or_else(wrong)?;
        let made = RecoveryCodes::random();
        if !second_factors::confirm(&mut tx, actor.user, step, &made.hashes, self.now()).await? {
            return Err(AppError::SecondFactorIsOn);
        }
        attempt.done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(RecoveryCodesMade {
            recovery_codes: made.codes,
        })
    }

    /// Takes one's own second factor away; a session alone does not suffice.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `password`; [`AppError::TooManyTries`]; [`AppError::NeedsSession`].
    pub async fn remove_second_factor(
        &self,
        actor: &Actor,
        remove: RemoveSecondFactor,
        from: IpAddr,
    ) -> Result<(), AppError> {
        let attempt = attempt("second_factor.remove").on(Target::person(actor.user, &actor.email));
        access::session(actor, "remove a second factor")?;
        let proof = EmailPassword {
            email: actor.email.clone(),
            password: remove.password.into(),
        };
        match self
            .identity()
            .identify(proof, from)
            .await
            .map_err(AppError::from)
        {
            Ok(user) if user == actor.user => {}
            Ok(_) | Err(AppError::WrongCredentials) => {
                return Err(AppError::invalid("password", "this is not your password"));
            }
            Err(other) => return Err(other),
        }
        let mut tx = self.store().begin().await?;
        second_factors::remove(&mut tx, actor.user).await?;
        attempt.done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Takes the second factor of somebody away who lost it.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NeedsSession`], [`AppError::NotFound`]; [`AppError::NotOursAlone`].
    pub async fn remove_second_factor_of(&self, actor: &Actor, user: UserId) -> Result<(), AppError> {
        let attempt = attempt("second_factor.remove").on(Target::new("person", user, None));
        access::tenant(actor, TenantAction::ManagePeople)?;
        access::session(actor, "remove a second factor")?;
        let mut tx = self.store().begin().await?;
        let member = people::find_member(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        own_account(&mut tx, actor.tenant, user).await?;
        second_factors::remove(&mut tx, user).await?;
        let message = format!("{} removed the second factor of {}", actor.email, member.email);
        event_log::append(&mut tx, actor.tenant, None, "second_factor_removed", &message).await?;
        let attempt = attempt.on(Target::person(user, &member.email));
        attempt.done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// What signing in takes beside the password, if anything.
    pub(crate) async fn second_factor(
        &self,
        connection: &mut PgConnection,
        user: UserId,
    ) -> Result<Option<SecondFactor>, AppError> {
        let found = second_factors::find(connection, &self.config().master_key, user).await?;
        Ok(found.filter(|factor| factor.confirmed))
    }

    /// Uses up a code of the app or a recovery code.
    ///
    /// # Errors
    /// [`AppError::WrongCode`], [`AppError::TooManyTries`].
    pub(crate) async fn use_code(&self, user: UserId, code: &str, from: IpAddr) -> Result<(), AppError> {
        self.count_code(user, from)?;
        let mut connection = self.store().connection().await?;
        let found = self.second_factor(&mut connection, user).await?;
        let factor = found.ok_or(AppError::WrongCode)?;
        let secret = TotpSecret::from_stored(factor.secret);
        let used = match secret.step_of(code, factor.last_step, self.now())? {
            Some(step) => second_factors::use_step(&mut connection, user, step).await?,
            None => second_factors::use_recovery_code(&mut connection, user, &recovery_hash(code)).await?,
        };
        if !used {
            return Err(AppError::WrongCode);
        }
        self.code_limits().forgive(&user.to_string());
        Ok(())
    }

    fn count_code(&self, user: UserId, from: IpAddr) -> Result<(), AppError> {
        self.code_limits()
            .check(&user.to_string(), from)
            .map_err(|retry_after| AppError::TooManyTries { retry_after })
    }
}

impl From<BadTotpSecret> for AppError {
    fn from(_: BadTotpSecret) -> Self {
        Self::Internal {
            what: "reading an authenticator's secret",
        }
    }
}
