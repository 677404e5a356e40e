//! Several tenants: the operator's work, and one's own.

use reqwest::Method;
use updraft_api::passwords::PasswordLink;
use updraft_api::rest::SignedIn;
use updraft_api::tenants::{
    AccountInNeed, MadeTenant, MyTenant, NewTenant, SwitchTenant, TenantView, UpdateTenant,
};
use updraft_model::TenantId;

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /tenants`, all pages.
    pub async fn tenants(&self) -> Result<Vec<TenantView>, ClientError> {
        self.all(|cursor| Call::get("tenants").query("cursor", cursor))
            .await
    }

    /// `POST /tenants`. Not repeated: a second answer would lack the owner's password.
    pub async fn create_tenant(&self, tenant: &NewTenant) -> Result<MadeTenant, ClientError> {
        self.fetch(Call::post("tenants").keyed(None).json(tenant)).await
    }

    /// `GET /tenants/{tenant}`
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantView, ClientError> {
        self.fetch(Call::get(format!("tenants/{tenant}"))).await
    }

    /// `PATCH /tenants/{tenant}`
    pub async fn update_tenant(
        &self,
        tenant: TenantId,
        update: &UpdateTenant,
    ) -> Result<TenantView, ClientError> {
        let call = Call::new(Method::PATCH, format!("tenants/{tenant}"));
        self.fetch(call.json(update)).await
    }

    /// `DELETE /tenants/{tenant}`
    pub async fn delete_tenant(&self, tenant: TenantId) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("tenants/{tenant}")))
            .await
    }

    /// `POST /accounts/password-link`. Not repeated: the link is shown once.
    pub async fn help_with_password(&self, account: &AccountInNeed) -> Result<PasswordLink, ClientError> {
        let call = Call::post("accounts/password-link").keyed(None);
        self.fetch(call.json(account)).await
    }

    /// `POST /accounts/remove-second-factor`
    pub async fn help_with_second_factor(&self, account: &AccountInNeed) -> Result<(), ClientError> {
        self.perform(Call::post("accounts/remove-second-factor").json(account))
            .await
    }

    /// `GET /me/tenants`
    pub async fn my_tenants(&self) -> Result<Vec<MyTenant>, ClientError> {
        self.fetch(Call::get("me/tenants")).await
    }

    /// `POST /me/tenant`: this client's own session ends with it. Not repeated, for the same reason.
    pub async fn switch_tenant(&self, tenant: TenantId) -> Result<SignedIn, ClientError> {
        self.fetch(Call::post("me/tenant").keyed(None).json(&SwitchTenant { tenant }))
            .await
    }
}
