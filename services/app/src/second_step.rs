//! A sign-in in two pages: the password first, then the code. What the first page proved is carried by the browser: bound
//! to it, to the password as it is now, and to five minutes. Nothing is kept meanwhile.

use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_api::rest::{SignIn, SignedIn};
use updraft_model::UserId;
use updraft_sso::sha256;
use updraft_store::people;

use crate::audit::attempt;
use crate::{App, AppError};

const LIFETIME: Duration = Duration::minutes(5);

/// What came of address and password.
#[derive(Debug)]
pub enum FirstStep {
    SignedIn(Box<SignedIn>),
    /// Good for [`App::sign_in_with_code`] in the same browser.
    CodeNeeded {
        proof: String,
    },
}

impl App {
    /// # Errors
    /// As [`App::sign_in`], but for the code.
    pub async fn begin_password_sign_in(
        &self,
        sign_in: SignIn,
        binding: &str,
        from: IpAddr,
    ) -> Result<FirstStep, AppError> {
        let attempt = attempt("sign_in.password").claimed_by(&sign_in.email);
        let user = self.proven(sign_in, from).await?;
        if !self.takes_code(user).await? {
            let signed_in = self.let_in(user, attempt).await?;
            return Ok(FirstStep::SignedIn(Box::new(signed_in)));
        }
        let until = self.now() + LIFETIME;
        let context = self.step_context(user, until, binding).await?;
        let seal = self.config().master_key.derive(&context);
        let seal = seal.expose_secret();
        let proof = format!("{user}.{}.{seal}", until.timestamp());
        Ok(FirstStep::CodeNeeded { proof })
    }

    /// # Errors
    /// [`AppError::StepRefused`], [`AppError::WrongCode`], [`AppError::TooManyTries`].
    pub async fn sign_in_with_code(
        &self,
        proof: &str,
        binding: &str,
        code: &str,
        from: IpAddr,
    ) -> Result<SignedIn, AppError> {
        let attempt = attempt("sign_in.password");
        let (user, until, seal) = parsed(proof).ok_or(AppError::StepRefused)?;
        let context = self.step_context(user, until, binding).await?;
        let expected = self.config().master_key.derive_each(&context);
        // Of hashes, so that the time it takes tells nothing of the seal.
        let is_one = |one: &SecretString| sha256(seal.as_bytes()) == sha256(one.expose_secret().as_bytes());
        if !expected.iter().any(is_one) || until <= self.now() {
            return Err(AppError::StepRefused);
        }
        let attempt = attempt.claimed_by(&self.address_of(user).await?);
        self.use_code(user, code, from).await?;
        self.let_in(user, attempt).await
    }

    /// What its seal is of: only this installation can say it of a first step.
    async fn step_context(
        &self,
        user: UserId,
        until: DateTime<Utc>,
        binding: &str,
    ) -> Result<String, AppError> {
        let mut connection = self.store().connection().await?;
        let hash = people::password_hash(&mut connection, user)
            .await?
            .unwrap_or_default();
        let password = hex::encode(sha256(hash.as_bytes()));
        let binding = hex::encode(sha256(binding.as_bytes()));
        Ok(format!(
            "second-step/{user}/{}/{binding}/{password}",
            until.timestamp()
        ))
    }

    async fn address_of(&self, user: UserId) -> Result<String, AppError> {
        let mut connection = self.store().connection().await?;
        let home = people::home_tenant(&mut connection, user).await?;
        Ok(home.map(|(_, member)| member.email).unwrap_or_default())
    }
}

fn parsed(proof: &str) -> Option<(UserId, DateTime<Utc>, &str)> {
    let (user, rest) = proof.split_once('.')?;
    let (until, seal) = rest.split_once('.')?;
    let until = DateTime::from_timestamp(until.parse().ok()?, 0)?;
    Some((user.parse().ok()?, until, seal))
}
