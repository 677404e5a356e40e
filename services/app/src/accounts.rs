//! Signing in and out, and one's own account.

use std::net::IpAddr;

use secrecy::SecretString;
use serde_json::json;
use updraft_api::rest::{ChangePassword, Me, SignIn, SignedIn};
use updraft_api::tokens::CredentialView;
use updraft_authz::{Actor, Credential};
use updraft_model::{SessionId, UserId};
use updraft_sso::{EmailPassword, IdentityProvider as _, SessionToken};
use updraft_store::sessions::{self, NewSession};
use updraft_store::{StoreError, memberships, operators, password_links, people, tenants, ways_in};
use uuid::Uuid;

use crate::audit::{Attempt, Change, Target, attempt};
use crate::{App, AppError, access};

/// RFC 5321, section 4.5.3.1.3.
const MAX_EMAIL_LENGTH: usize = 254;

impl App {
    /// # Errors
    /// [`AppError::WrongCredentials`], or [`AppError::TooManyTries`] for this account or address;
    /// [`AppError::CodeNeeded`] and [`AppError::WrongCode`] for whom a second factor was set up.
    pub async fn sign_in(&self, sign_in: SignIn, client_ip: IpAddr) -> Result<SignedIn, AppError> {
        let attempt = attempt("sign_in.password").claimed_by(&sign_in.email);
        let code = sign_in.code.clone();
        let user = self.proven(sign_in, client_ip).await?;
        match (self.takes_code(user).await?, code) {
            (false, _) => {}
            (true, None) => return Err(AppError::CodeNeeded),
            (true, Some(code)) => self.use_code(user, &code, client_ip).await?,
        }
        self.let_in(user, attempt).await
    }

    /// Whose password it is.
    pub(crate) async fn proven(&self, sign_in: SignIn, client_ip: IpAddr) -> Result<UserId, AppError> {
        let email_like = sign_in.email.len() <= MAX_EMAIL_LENGTH && !sign_in.email.contains(char::is_control);
        if !email_like || sign_in.password.len() > 1_024 {
            return Err(AppError::WrongCredentials);
        }
        let proof = EmailPassword {
            email: sign_in.email,
            password: SecretString::from(sign_in.password),
        };
        Ok(self.identity().identify(proof, client_ip).await?)
    }

    pub(crate) async fn takes_code(&self, user: UserId) -> Result<bool, AppError> {
        let mut connection = self.store().connection().await?;
        Ok(self.second_factor(&mut connection, user).await?.is_some())
    }

    /// Opens the session of somebody who has proven everything.
    pub(crate) async fn let_in(&self, user: UserId, attempt: Attempt) -> Result<SignedIn, AppError> {
        let token = SessionToken::random();
        let id = SessionId(Uuid::now_v7());
        let mut tx = self.store().begin().await?;
        // No membership left: there is nothing to sign in to, and nobody is told that the password was right.
        let (tenant, member) = people::home_tenant(&mut tx, user)
            .await?
            .ok_or(AppError::WrongCredentials)?;
        let rules = ways_in::rules(&mut tx, tenant).await?;
        let expires_at = self.now() + self.session_lifetime(rules.session_seconds);
        crate::sessions::open(
            &mut tx,
            &NewSession {
                id,
                token_hash: token.hash(),
                tenant,
                user,
                expires_at,
            },
        )
        .await?;
        let actor = Actor {
            user,
            tenant,
            tenant_role: member.tenant_role,
            credential: Credential::Session(id),
            is_service: false,
            email: member.email,
            name: member.name,
        };
        attempt.done(&mut tx, &actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(SignedIn {
            token: token.expose().to_owned(),
            expires_at,
            me: self.me(&actor).await?,
        })
    }

    /// Ends this session; edges are told at once.
    ///
    /// # Errors
    /// [`AppError::NeedsSession`].
    pub async fn sign_out(&self, actor: &Actor) -> Result<(), AppError> {
        let attempt = attempt("sign_out");
        let session = access::session(actor, "sign out")?;
        let mut tx = self.store().begin().await?;
        sessions::revoke(&mut tx, session, self.now()).await?;
        attempt.done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// # Errors
    /// When the database cannot be asked.
    pub async fn me(&self, actor: &Actor) -> Result<Me, AppError> {
        let mut connection = self.store().connection().await?;
        let tenant = tenants::find(&mut connection, actor.tenant)
            .await?
            .ok_or(AppError::NotSignedIn)?;
        let operator = match actor.credential.session() {
            Some(session) => operators::is_operator(&mut connection, actor.tenant, session).await?,
            None => false,
        };
        let tenants = memberships::of_person(&mut connection, actor.user).await?.len();
        drop(connection);
        Ok(Me {
            held_after_restore: operator && self.is_held().await?,
            user: actor.user,
            email: actor.email.clone(),
            name: actor.name.clone(),
            tenant: actor.tenant,
            tenant_name: tenant.name,
            tenant_role: actor.tenant_role,
            credential: credential(actor.credential),
            operator,
            tenants: u32::try_from(tenants).unwrap_or(u32::MAX),
        })
    }

    /// Changes one's own password and ends one's other sessions.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `current` or `new`; [`AppError::TooManyTries`]; [`AppError::NeedsSession`].
    pub async fn change_password(
        &self,
        actor: &Actor,
        change: ChangePassword,
        client_ip: IpAddr,
    ) -> Result<(), AppError> {
        let attempt = attempt("password.change").on(Target::person(actor.user, &actor.email));
        let session = access::session(actor, "change a password")?;
        let proof = EmailPassword {
            email: actor.email.clone(),
            password: SecretString::from(change.current),
        };
        let wrong = || AppError::invalid("current", "this is not your current password");
        let whose =
            self.identity()
                .identify(proof, client_ip)
                .await
                .map_err(|error| match AppError::from(error) {
                    AppError::WrongCredentials => wrong(),
                    other => other,
                })?;
        // A local account may have the address of somebody who came from a directory.
        if whose != actor.user {
            return Err(wrong());
        }
        let hash = self
            .passwords()
            .hash(&SecretString::from(change.new), &[&actor.email, &actor.name])
            .await
            .map_err(|error| match AppError::from(error) {
                AppError::Invalid { why, .. } => AppError::Invalid {
                    field: "new".to_owned(),
                    why,
                },
                other => other,
            })?;
        let mut tx = self.store().begin().await?;
        people::set_password_hash(&mut tx, actor.user, &hash).await?;
        password_links::use_up(&mut tx, actor.user, self.now()).await?;
        let ended = sessions::revoke_others(&mut tx, actor.user, session, self.now()).await?;
        let change = Change::made(json!({"sessions_ended": ended}));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn credential(credential: Credential) -> CredentialView {
    match credential {
        Credential::Session(id) => CredentialView::Session { id },
        Credential::Token { id, limit } => CredentialView::Token { id, role: limit },
    }
}
