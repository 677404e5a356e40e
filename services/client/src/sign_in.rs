//! How the tenant's people sign in: identity providers, domains, rules.

use reqwest::Method;
use updraft_api::sign_in::{
    DomainView, Domains, IdentityProviderView, IdentityProviders, NewDomain, NewIdentityProvider,
    SignInRules, UpdateDomain, UpdateIdentityProvider, UpdateSignInRules,
};
use updraft_model::ProviderId;

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /identity-providers`
    pub async fn identity_providers(&self) -> Result<Vec<IdentityProviderView>, ClientError> {
        let all: IdentityProviders = self.fetch(Call::get("identity-providers")).await?;
        Ok(all.items)
    }

    /// `POST /identity-providers`
    pub async fn create_identity_provider(
        &self,
        new: &NewIdentityProvider,
    ) -> Result<IdentityProviderView, ClientError> {
        self.fetch(Call::post("identity-providers").json(new)).await
    }

    /// `PATCH /identity-providers/{provider}`
    pub async fn update_identity_provider(
        &self,
        provider: ProviderId,
        update: &UpdateIdentityProvider,
    ) -> Result<IdentityProviderView, ClientError> {
        let path = format!("identity-providers/{provider}");
        self.fetch(Call::new(Method::PATCH, path).json(update)).await
    }

    /// `DELETE /identity-providers/{provider}`
    pub async fn delete_identity_provider(&self, provider: ProviderId) -> Result<(), ClientError> {
        self.perform(Call::new(
            Method::DELETE,
            format!("identity-providers/{provider}"),
        ))
        .await
    }

    /// `POST /identity-providers/{provider}/test`
    pub async fn test_identity_provider(
        &self,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, ClientError> {
        self.fetch(Call::post(format!("identity-providers/{provider}/test")))
            .await
    }

    /// `POST /identity-providers/{provider}/enable`
    pub async fn enable_identity_provider(
        &self,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, ClientError> {
        self.fetch(Call::post(format!("identity-providers/{provider}/enable")))
            .await
    }

    /// `POST /identity-providers/{provider}/disable`
    pub async fn disable_identity_provider(
        &self,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, ClientError> {
        self.fetch(Call::post(format!("identity-providers/{provider}/disable")))
            .await
    }

    /// `GET /domains`
    pub async fn domains(&self) -> Result<Vec<DomainView>, ClientError> {
        let all: Domains = self.fetch(Call::get("domains")).await?;
        Ok(all.items)
    }

    /// `POST /domains`
    pub async fn add_domain(&self, new: &NewDomain) -> Result<DomainView, ClientError> {
        self.fetch(Call::post("domains").json(new)).await
    }

    /// `PATCH /domains/{domain}`
    pub async fn send_domain(
        &self,
        domain: &str,
        provider: Option<ProviderId>,
    ) -> Result<DomainView, ClientError> {
        let update = UpdateDomain { provider };
        let path = format!("domains/{}", segment(domain));
        self.fetch(Call::new(Method::PATCH, path).json(&update)).await
    }

    /// `POST /domains/{domain}/check`
    pub async fn check_domain(&self, domain: &str) -> Result<DomainView, ClientError> {
        self.fetch(Call::post(format!("domains/{}/check", segment(domain))))
            .await
    }

    /// `DELETE /domains/{domain}`
    pub async fn remove_domain(&self, domain: &str) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("domains/{}", segment(domain))))
            .await
    }

    /// `GET /sign-in-rules`
    pub async fn sign_in_rules(&self) -> Result<SignInRules, ClientError> {
        self.fetch(Call::get("sign-in-rules")).await
    }

    /// `PATCH /sign-in-rules`
    pub async fn update_sign_in_rules(&self, update: &UpdateSignInRules) -> Result<SignInRules, ClientError> {
        self.fetch(Call::new(Method::PATCH, "sign-in-rules").json(update))
            .await
    }
}

/// What a person typed, as one segment of a path.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
