//! From an address, or an organisation's name, to the way in. Whether there is an account nobody learns here.

use updraft_model::ProviderId;
use updraft_store::identity_providers::{self, OfferedProvider};
use updraft_store::{domains, tenants, ways_in};

use crate::{App, AppError};

/// Where somebody with this address signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// The domain of the address is proven, and its people sign in there.
    Provider(ProviderId),
    /// Everybody else is asked for a password, whether or not there is such an account.
    Password,
}

/// What one organisation's sign-in page offers.
#[derive(Clone, Debug)]
pub struct SignInChoices {
    pub tenant_name: String,
    pub providers: Vec<OfferedProvider>,
    pub password: bool,
}

impl App {
    /// # Errors
    /// When the database cannot be asked.
    pub async fn way_in(&self, email: &str) -> Result<WayIn, AppError> {
        let Some((_, domain)) = email.trim().rsplit_once('@') else {
            return Ok(WayIn::Password);
        };
        let mut connection = self.store().connection().await?;
        let found = domains::provider_of(&mut connection, &domain.to_lowercase()).await?;
        Ok(found.map_or(WayIn::Password, |(_, provider)| WayIn::Provider(provider)))
    }

    /// `None` when there is no such organisation.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn sign_in_choices(&self, tenant_name: &str) -> Result<Option<SignInChoices>, AppError> {
        let mut connection = self.store().connection().await?;
        let Some(tenant) = tenants::find_by_name(&mut connection, tenant_name).await? else {
            return Ok(None);
        };
        Ok(Some(SignInChoices {
            providers: identity_providers::offered(&mut connection, tenant.id).await?,
            password: ways_in::rules(&mut connection, tenant.id).await?.password_sign_in,
            tenant_name: tenant.name,
        }))
    }
}
