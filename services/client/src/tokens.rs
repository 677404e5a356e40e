//! API tokens, service accounts, and the device flow.

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_api::device::{DEVICE_GRANT, DeviceAuthorized, DeviceError, DeviceRefused, DeviceToken};
use updraft_api::tokens::{CreatedToken, NewServiceAccount, NewToken, ServiceAccountView, TokenView};
use updraft_model::{TokenId, UserId};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /tokens`, all pages.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, ClientError> {
        self.all(|cursor| Call::get("tokens").query("cursor", cursor))
            .await
    }

    /// `POST /tokens`. Not repeated: a second answer would lack the token's text.
    pub async fn create_token(&self, token: &NewToken) -> Result<CreatedToken, ClientError> {
        self.fetch(Call::post("tokens").keyed(None).json(token)).await
    }

    /// `DELETE /tokens/{token}`
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("tokens/{token}")))
            .await
    }

    /// `GET /service-accounts`, all pages.
    pub async fn service_accounts(&self) -> Result<Vec<ServiceAccountView>, ClientError> {
        self.all(|cursor| Call::get("service-accounts").query("cursor", cursor))
            .await
    }

    /// `POST /service-accounts`
    pub async fn create_service_account(
        &self,
        account: &NewServiceAccount,
    ) -> Result<ServiceAccountView, ClientError> {
        self.fetch(Call::post("service-accounts").json(account)).await
    }

    /// `DELETE /service-accounts/{user}`: its tokens die with it.
    pub async fn delete_service_account(&self, user: UserId) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("service-accounts/{user}")))
            .await
    }

    /// `POST /device/authorize`
    pub async fn authorize_device(&self, client_name: &str) -> Result<DeviceAuthorized, ClientError> {
        let call = Call::post("device/authorize").keyed(None);
        self.fetch(call.form(&[("client_id", client_name)])).await
    }

    /// `POST /device/token`: the session, or why there is none yet.
    pub async fn poll_device(
        &self,
        device_code: &SecretString,
    ) -> Result<Result<DeviceToken, DeviceError>, ClientError> {
        let call = Call::post("device/token").keyed(None).form(&[
            ("grant_type", DEVICE_GRANT),
            ("device_code", device_code.expose_secret()),
        ]);
        let refused = |body: &[u8]| serde_json::from_slice::<DeviceRefused>(body).ok();
        self.fetch_or(call, StatusCode::BAD_REQUEST, refused)
            .await
            .map(|answer| answer.map_err(|refused| refused.error))
    }
}
