//! A tenant's directory tells who its people are (SCIM 2.0): whoever it switches off is out within a minute, everywhere.
//!
//! A directory reaches the people it brought and nobody else: local accounts, service accounts and operators have no
//! place in it, whatever address it names. Identity is what the directory calls a person, never the e-mail, with one
//! exception within the tenant's own people: someone of origin `directory` who is not in it yet, because they signed in
//! before it told of them, is taken into it by their address, so that switching them off reaches them.

mod groups;
mod query;
mod render;
mod users;

use thiserror::Error;
use updraft_authz::{Actor, Credential};
use updraft_model::TokenLimit;
use updraft_sso::scim::{Refused, ScimType};
use updraft_store::StoreError;

use crate::{App, AppError};

pub use query::ScimQuery;
pub use render::ScimResource;

/// The directory of one tenant, by the token it was given.
#[derive(Clone, Debug)]
pub struct Directory {
    actor: Actor,
}

#[derive(Debug, Error)]
pub enum ScimError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the directory has no such resource")]
    NotFound,
    /// Another has this name.
    #[error("`{value}` is taken")]
    Taken { attribute: &'static str, value: String },
    /// It was changed since the version that `If-Match` names.
    #[error("the resource is at another version")]
    Changed,
    #[error(transparent)]
    App(#[from] AppError),
}

impl App {
    /// Whose directory this token is for.
    ///
    /// # Errors
    /// [`AppError::NotSignedIn`]; [`AppError::Forbidden`] for a token or session that is not for SCIM.
    pub async fn scim_directory(&self, token: &str) -> Result<Directory, AppError> {
        let actor = self.authenticate(token).await?;
        match actor.credential {
            Credential::Token {
                limit: TokenLimit::Scim,
                ..
            } => Ok(Directory { actor }),
            Credential::Token { .. } | Credential::Session(_) => Err(AppError::Forbidden {
                action: "use SCIM: that takes an API token with the role `scim`",
            }),
        }
    }
}

// === impl ScimError ===

impl ScimError {
    /// For RFC 7644's `scimType`.
    #[must_use]
    pub fn scim_type(&self) -> Option<ScimType> {
        match self {
            Self::Refused(refused) => Some(refused.scim_type),
            Self::Taken { .. } => Some(ScimType::Uniqueness),
            Self::NotFound | Self::Changed | Self::App(_) => None,
        }
    }
}

impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

/// A name that is taken, or a version that passed while we looked.
fn written(attribute: &'static str, value: &str) -> impl Fn(StoreError) -> ScimError {
    move |error| match error {
        StoreError::Conflict { .. } => ScimError::Taken {
            attribute,
            value: value.to_owned(),
        },
        StoreError::Missing { .. } => ScimError::Changed,
        other => other.into(),
    }
}
