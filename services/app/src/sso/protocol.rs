//! One face for both protocols: a provider with all that its protocol needs.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use updraft_model::{OidcConfig, ProviderConfig, SamlConfig};
use updraft_sso::saml::{self, ServiceProvider, SpKey};
use updraft_sso::{Check, Refusal, oidc, random_code};
use updraft_store::PgConnection;
use updraft_store::identity_providers::{self, ProviderRecord};

use super::SsoError;
use super::addresses;
use crate::{App, AppError};

/// A provider, ready to be spoken to.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) record: ProviderRecord,
    pub(super) speaks: Speaks,
}

#[derive(Debug)]
pub(super) enum Speaks {
    Oidc {
        config: OidcConfig,
        secret: Option<SecretString>,
    },
    Saml {
        config: SamlConfig,
        sp: Box<ServiceProvider>,
    },
}

/// What has to be remembered of a sign-in under way; secret.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Memory {
    Oidc(oidc::Attempt),
    Saml(saml::Attempt),
}

/// A sign-in that began.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) url: String,
    /// What the attempt is found by when the browser comes back.
    pub(super) state: String,
    pub(super) memory: Memory,
}

impl App {
    /// The provider with its secrets.
    pub(super) async fn ready(
        &self,
        connection: &mut PgConnection,
        record: ProviderRecord,
    ) -> Result<Ready, AppError> {
        let key = &self.config().master_key;
        let secret = identity_providers::secret(connection, key, record.tenant, record.id).await?;
        let speaks = self.speaks(&record, record.config.clone(), secret)?;
        Ok(Ready { record, speaks })
    }

    /// As it would speak with this configuration.
    pub(super) fn speaks(
        &self,
        record: &ProviderRecord,
        config: ProviderConfig,
        secret: Option<SecretString>,
    ) -> Result<Speaks, AppError> {
        Ok(match config {
            ProviderConfig::Oidc(config) => Speaks::Oidc { config, secret },
            ProviderConfig::Saml(config) => {
                let key = secret.ok_or(AppError::Internal {
                    what: "the key of a SAML provider",
                })?;
                let key = SpKey::from_secret(&key).map_err(SsoError::from)?;
                let sp = Box::new(addresses::service_provider(self.config(), record.id, key));
                Speaks::Saml { config, sp }
            }
        })
    }

    pub(super) async fn begin_with(
        &self,
        ready: &Ready,
        hint: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Begun, AppError> {
        match &ready.speaks {
            Speaks::Oidc { config, .. } => {
                let redirect = addresses::redirect_uri(self.config(), ready.record.id)?;
                let begun = self
                    .oidc()
                    .begin(config, &redirect, hint, now)
                    .await
                    .map_err(SsoError::from)?;
                Ok(Begun {
                    url: begun.url.into(),
                    state: begun.attempt.state.clone(),
                    memory: Memory::Oidc(begun.attempt),
                })
            }
            Speaks::Saml { config, sp } => {
                let state = random_code();
                let begun = saml::begin(config, sp, &state, now).map_err(SsoError::from)?;
                Ok(Begun {
                    url: begun.url,
                    state,
                    memory: Memory::Saml(begun.attempt),
                })
            }
        }
    }

    /// All that can be known without a person signing in.
    pub(super) async fn check_with(
        &self,
        record: &ProviderRecord,
        speaks: &Speaks,
        now: DateTime<Utc>,
    ) -> Result<Vec<Check>, AppError> {
        match speaks {
            Speaks::Oidc { config, secret } => {
                let redirect = addresses::redirect_uri(self.config(), record.id)?;
                Ok(self.oidc().test(config, secret.as_ref(), &redirect, now).await)
            }
            Speaks::Saml { config, sp } => Ok(saml::test(config, sp, now)),
        }
    }
}

// === impl Memory ===

impl Memory {
    pub(super) fn written(&self) -> Result<SecretString, AppError> {
        let text = serde_json::to_string(self).map_err(|_| AppError::Internal {
            what: "remembering a sign-in",
        })?;
        Ok(text.into())
    }

    pub(super) fn read(text: &SecretString) -> Result<Self, AppError> {
        serde_json::from_str(text.expose_secret()).map_err(|_| AppError::Internal {
            what: "remembering a sign-in",
        })
    }
}

/// A configuration that names the provider's own words for itself.
pub(super) fn issuer(config: &ProviderConfig) -> &str {
    match config {
        ProviderConfig::Oidc(config) => &config.issuer,
        ProviderConfig::Saml(config) => &config.entity_id,
    }
}

pub(super) fn mismatched() -> Refusal {
    Refusal::new(
        "sign_in.wrong_provider",
        "this sign-in was begun with another identity provider",
    )
}
