//! Signing in and out, who one is, and where one is signed in.

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use updraft_api::rest::{Me, SignIn, SignedIn};
use updraft_api::tokens::{EndedSessions, SessionView};
use updraft_model::{SessionId, UserId};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `POST /sessions`. Not repeated: a second try would count against the rate limit.
    pub async fn sign_in(
        &self,
        email: &str,
        password: &SecretString,
        code: Option<&str>,
    ) -> Result<SignedIn, ClientError> {
        let body = SignIn {
            email: email.to_owned(),
            password: password.expose_secret().to_owned(),
            code: code.map(str::to_owned),
        };
        self.fetch(Call::post("sessions").keyed(None).json(&body)).await
    }

    /// `DELETE /sessions/current`: ends the session this token belongs to, everywhere.
    pub async fn sign_out(&self) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, "sessions/current")).await
    }

    /// `GET /sessions`, all pages; those of `of`, for owners.
    pub async fn sessions(&self, of: Option<UserId>) -> Result<Vec<SessionView>, ClientError> {
        let page = |cursor| Call::get("sessions").query("user", of).query("cursor", cursor);
        self.all(page).await
    }

    /// `DELETE /sessions/{session}`
    pub async fn revoke_session(&self, session: SessionId) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("sessions/{session}")))
            .await
    }

    /// `DELETE /sessions`: all but the one this is asked with, or all of `of`, for owners.
    pub async fn revoke_sessions(&self, of: Option<UserId>) -> Result<EndedSessions, ClientError> {
        self.fetch(Call::new(Method::DELETE, "sessions").query("user", of))
            .await
    }

    /// `GET /me`
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.fetch(Call::get("me")).await
    }

    /// `PUT /me/password`
    pub async fn change_password(
        &self,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), ClientError> {
        let body = json!({"current": current.expose_secret(), "new": new.expose_secret()});
        self.perform(Call::new(Method::PUT, "me/password").json(&body))
            .await
    }
}
