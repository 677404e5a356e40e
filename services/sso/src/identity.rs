//! Ways to prove who one is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use updraft_model::UserId;
use updraft_store::{Store, StoreError, people};

use crate::{PasswordError, Passwords, SignInLimits};

/// Turns a proof into a person. One implementation per kind of proof; the session that follows is the same for all.
pub trait IdentityProvider {
    type Proof;

    /// Who this is; `from` is the address the proof came from.
    fn identify(
        &self,
        proof: Self::Proof,
        from: IpAddr,
    ) -> impl Future<Output = Result<UserId, SignInError>> + Send;
}

#[derive(Debug, Error)]
pub enum SignInError {
    /// Never says which of the two is wrong.
    #[error("the address or the password is wrong")]
    WrongCredentials,
    #[error("too many tries")]
    TooMany { retry_after: Duration },
    #[error("the password could not be checked")]
    Password(#[from] PasswordError),
    #[error("the account could not be looked up")]
    Store(#[from] StoreError),
}

/// Identity by e-mail address and password.
#[derive(Clone, Debug)]
pub struct PasswordIdentity {
    store: Store,
    passwords: Passwords,
    limits: Arc<SignInLimits>,
}

#[derive(Debug)]
pub struct EmailPassword {
    pub email: String,
    pub password: SecretString,
}

// === impl PasswordIdentity ===

impl PasswordIdentity {
    #[must_use]
    pub fn new(store: Store, passwords: Passwords, limits: Arc<SignInLimits>) -> Self {
        Self {
            store,
            passwords,
            limits,
        }
    }
}

impl IdentityProvider for PasswordIdentity {
    type Proof = EmailPassword;

    async fn identify(&self, proof: EmailPassword, from: IpAddr) -> Result<UserId, SignInError> {
        let email = proof.email.trim().to_lowercase();
        self.limits
            .check(&email, from)
            .map_err(|retry_after| SignInError::TooMany { retry_after })?;
        let record = {
            let mut connection = self.store.connection().await?;
            people::password_record(&mut connection, &email).await?
        };
        let hash = record.as_ref().and_then(|record| record.password_hash.as_deref());
        let right = self.passwords.verify(&proof.password, hash).await?;
        if right {
            self.limits.forgive(&email);
        }
        record
            .filter(|_| right)
            .map(|record| record.user)
            .ok_or(SignInError::WrongCredentials)
    }
}
