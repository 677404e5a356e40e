//! A tenant's identity providers: owners set them up.

use secrecy::SecretString;
use serde_json::{Value, json};
use updraft_api::sign_in::{
    IdentityProviderView, IdentityProviders, NewIdentityProvider, ProviderAddresses, UpdateIdentityProvider,
};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{ProviderConfig, ProviderId, SamlConfig, TenantId};
use updraft_sso::saml::{self, SpKey};
use updraft_store::identity_providers::{self, NewProvider, ProviderRecord};
use updraft_store::secrets::SecretError;
use updraft_store::{PgConnection, StoreError, provider_sessions, ways_in};
use uuid::Uuid;

use super::protocol::issuer;
use super::{SsoError, addresses, lockout};
use crate::audit::{Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::people::checked_name;
use crate::{App, access};

const MAX_PROVIDERS: usize = 20;
const MAX_SECRET_LENGTH: usize = 4_096;

impl App {
    /// # Errors
    /// [`AppError::Forbidden`].
    pub async fn list_identity_providers(&self, actor: &Actor) -> Result<IdentityProviders, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut connection = self.store().connection().await?;
        let records = identity_providers::list(&mut connection, actor.tenant).await?;
        let items = records
            .into_iter()
            .map(|record| self.provider_view(record))
            .collect();
        Ok(IdentityProviders { items })
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`].
    pub async fn show_identity_provider(
        &self,
        actor: &Actor,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut connection = self.store().connection().await?;
        let record = find(&mut connection, actor.tenant, provider).await?;
        Ok(self.provider_view(record))
    }

    /// Not enabled yet: it signs nobody in until it was tested.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Invalid`]; [`SsoError::NameTaken`], [`SsoError::IssuerTaken`].
    pub async fn create_identity_provider(
        &self,
        actor: &Actor,
        new: NewIdentityProvider,
    ) -> Result<IdentityProviderView, AppError> {
        let attempt = attempt("identity_provider.create");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let id = new.id.unwrap_or_else(|| ProviderId(Uuid::now_v7()));
        let name = checked_name(&new.name)?;
        let config = self.configuration(new.config, new.metadata.as_deref())?;
        let config = config.ok_or_else(|| {
            AppError::invalid(
                "config",
                "say how the provider is reached, or give a SAML provider's metadata",
            )
        })?;
        let secret = self.first_secret(&config, new.secret).await?;

        let mut tx = self.store().begin().await?;
        ways_in::lock(&mut tx, actor.tenant).await?;
        refuse_double(&mut tx, actor.tenant, &config).await?;
        let row = NewProvider {
            id,
            tenant: actor.tenant,
            name: &name,
            config: &config,
            secret: secret.as_ref(),
        };
        identity_providers::insert(&mut tx, &self.config().master_key, &row)
            .await
            .map_err(|error| conflict(error, &name))?;
        let record = find(&mut tx, actor.tenant, id).await?;
        attempt
            .on(target(&record))
            .done(&mut tx, actor, Change::made(audited(&record)))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.provider_view(record))
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`], [`AppError::Invalid`]; [`SsoError::NameTaken`];
    /// [`SsoError::TestFailed`] when it is enabled and the change would not work.
    pub async fn update_identity_provider(
        &self,
        actor: &Actor,
        provider: ProviderId,
        update: UpdateIdentityProvider,
    ) -> Result<IdentityProviderView, AppError> {
        let attempt = attempt("identity_provider.update");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let before = {
            let mut connection = self.store().connection().await?;
            find(&mut connection, actor.tenant, provider).await?
        };
        let name = update.name.as_deref().map(checked_name).transpose()?;
        let config = self.configuration(update.config, update.metadata.as_deref())?;
        let config = config.unwrap_or_else(|| before.config.clone());
        refuse_other_issuer(&before.config, &config)?;
        let secret = checked_secret(&config, update.secret)?;
        let changed = config != before.config || secret.is_some();
        let test = if changed && before.enabled {
            Some(self.test_before_change(&before, &config, secret.as_ref()).await?)
        } else {
            None
        };

        let mut tx = self.store().begin().await?;
        ways_in::lock(&mut tx, actor.tenant).await?;
        let now = find(&mut tx, actor.tenant, provider).await?;
        if now.version != before.version || now.enabled != before.enabled {
            return Err(AppError::invalid(
                "config",
                "somebody changed it at the same moment: look at it and try again",
            ));
        }
        if let Some(name) = &name {
            identity_providers::rename(&mut tx, actor.tenant, provider, name)
                .await
                .map_err(|error| conflict(SecretError::from(error), name))?;
        }
        if changed {
            let key = &self.config().master_key;
            identity_providers::configure(&mut tx, key, actor.tenant, provider, &config, secret.as_ref())
                .await?;
        }
        if let Some(test) = test {
            identity_providers::record_test(&mut tx, actor.tenant, provider, before.version + 1, &test)
                .await?;
        }
        let record = find(&mut tx, actor.tenant, provider).await?;
        attempt
            .on(target(&record))
            .done(
                &mut tx,
                actor,
                Change::between(audited(&before), audited(&record)),
            )
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.provider_view(record))
    }

    /// With the identities it vouched for. Whoever is signed in through it is signed out.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`]; [`SsoError::LastWayIn`].
    pub async fn delete_identity_provider(
        &self,
        actor: &Actor,
        provider: ProviderId,
    ) -> Result<(), AppError> {
        let attempt = attempt("identity_provider.delete");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let ways = ways_in::lock(&mut tx, actor.tenant).await?;
        let record = find(&mut tx, actor.tenant, provider).await?;
        lockout::may_lose(&ways, provider, "Deleting it")?;
        provider_sessions::revoke_all_through(&mut tx, actor.tenant, provider, self.now()).await?;
        identity_providers::delete(&mut tx, actor.tenant, provider).await?;
        attempt
            .on(target(&record))
            .done(&mut tx, actor, Change::removed(audited(&record)))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// What a provider of this id has to be told, also before there is one.
    #[must_use]
    pub fn provider_addresses(&self, id: ProviderId, saml: bool) -> ProviderAddresses {
        addresses::addresses(self.config(), id, saml)
    }

    /// Reads a SAML provider's metadata.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `metadata`.
    pub fn read_saml_metadata(&self, xml: &str) -> Result<SamlConfig, AppError> {
        saml::read_metadata(xml).map_err(|refusal| AppError::invalid("metadata", refusal.text))
    }

    pub(super) fn provider_view(&self, record: ProviderRecord) -> IdentityProviderView {
        IdentityProviderView {
            addresses: self.provider_addresses(record.id, matches!(record.config, ProviderConfig::Saml(_))),
            id: record.id,
            name: record.name,
            config: record.config,
            has_secret: record.has_secret,
            enabled: record.enabled,
            version: record.version,
            last_test: record
                .last_test
                .and_then(|test| serde_json::from_value(test).ok()),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }

    fn configuration(
        &self,
        config: Option<ProviderConfig>,
        metadata: Option<&str>,
    ) -> Result<Option<ProviderConfig>, AppError> {
        match (config, metadata) {
            (Some(_), Some(_)) => Err(AppError::invalid(
                "metadata",
                "give `config` or `metadata`, not both",
            )),
            (Some(config), None) => checked_config(config).map(Some),
            (None, Some(xml)) => Ok(Some(ProviderConfig::Saml(self.read_saml_metadata(xml)?))),
            (None, None) => Ok(None),
        }
    }

    /// An OIDC client's secret, or a key pair made for a SAML provider.
    async fn first_secret(
        &self,
        config: &ProviderConfig,
        given: Option<String>,
    ) -> Result<Option<SecretString>, AppError> {
        let given = checked_secret(config, given)?;
        match config {
            ProviderConfig::Oidc(_) => Ok(given),
            ProviderConfig::Saml(_) => {
                let now = self.now();
                let made = tokio::task::spawn_blocking(move || SpKey::generate(now)).await;
                let key = made.map_err(|_| AppError::Internal { what: "making a key" })?;
                Ok(Some(key.map_err(SsoError::from)?.to_secret()))
            }
        }
    }
}

pub(super) fn target(record: &ProviderRecord) -> Target {
    Target::new("identity_provider", record.id, Some(&record.name))
}

/// What the audit log says of one: a secret only by the version it changed.
fn audited(record: &ProviderRecord) -> Value {
    json!({"name": record.name, "config": record.config, "version": record.version})
}

pub(super) async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: ProviderId,
) -> Result<ProviderRecord, AppError> {
    let found = identity_providers::find(connection, tenant, provider).await?;
    found.ok_or(AppError::NotFound(Resource::IdentityProvider))
}

/// Two of one issuer would be two opinions on who somebody is.
async fn refuse_double(
    tx: &mut PgConnection,
    tenant: TenantId,
    config: &ProviderConfig,
) -> Result<(), AppError> {
    let present = identity_providers::list(tx, tenant).await?;
    if present.len() >= MAX_PROVIDERS {
        return Err(AppError::invalid(
            "name",
            "an organisation has at most 20 identity providers",
        ));
    }
    match present
        .into_iter()
        .find(|other| issuer(&other.config) == issuer(config))
    {
        Some(other) => Err(SsoError::IssuerTaken { name: other.name }.into()),
        None => Ok(()),
    }
}

fn refuse_other_issuer(before: &ProviderConfig, after: &ProviderConfig) -> Result<(), AppError> {
    let same_kind = std::mem::discriminant(before) == std::mem::discriminant(after);
    if same_kind && issuer(before) == issuer(after) {
        return Ok(());
    }
    let field = match after {
        ProviderConfig::Oidc(_) => "config.issuer",
        ProviderConfig::Saml(_) => "config.entity_id",
    };
    Err(AppError::invalid(
        field,
        "who somebody is depends on it, so it stays: create another identity provider",
    ))
}

fn checked_config(config: ProviderConfig) -> Result<ProviderConfig, AppError> {
    let filled = |field: &str, text: &str, limit: usize| {
        let fine = !text.trim().is_empty() && text.len() <= limit && !text.chars().any(char::is_control);
        fine.then_some(())
            .ok_or_else(|| AppError::invalid(field, format!("it has 1 to {limit} characters, in one line")))
    };
    match &config {
        ProviderConfig::Oidc(oidc) => {
            filled("config.issuer", &oidc.issuer, 500)?;
            filled("config.client_id", &oidc.client_id, 500)?;
            if oidc.scopes.len() > 20 || oidc.hosted_domains.len() > 50 {
                return Err(AppError::invalid(
                    "config",
                    "at most 20 scopes and 50 hosted domains",
                ));
            }
        }
        ProviderConfig::Saml(saml) => {
            filled("config.entity_id", &saml.entity_id, 1_000)?;
            filled("config.sso_url", &saml.sso_url, 2_000)?;
            if saml.certificates.is_empty() || saml.certificates.len() > 10 {
                return Err(AppError::invalid(
                    "config.certificates",
                    "give 1 to 10 certificates in PEM",
                ));
            }
        }
    }
    Ok(config)
}

fn checked_secret(config: &ProviderConfig, given: Option<String>) -> Result<Option<SecretString>, AppError> {
    let Some(secret) = given.filter(|secret| !secret.is_empty()) else {
        return Ok(None);
    };
    if matches!(config, ProviderConfig::Saml(_)) {
        return Err(AppError::invalid(
            "secret",
            "a SAML provider has none: Updraft makes a key pair of its own",
        ));
    }
    if secret.len() > MAX_SECRET_LENGTH || secret.chars().any(char::is_control) {
        return Err(AppError::invalid(
            "secret",
            "a client secret is one line of at most 4,096 characters",
        ));
    }
    Ok(Some(secret.into()))
}

fn conflict(error: SecretError, name: &str) -> AppError {
    match error {
        SecretError::Store(error) if error.is_conflict_on("identity_providers_name") => SsoError::NameTaken {
            name: name.to_owned(),
        }
        .into(),
        SecretError::Store(error) if error.is_conflict_on("identity_providers_pkey") => {
            AppError::invalid("id", "make another random UUID")
        }
        other => other.into(),
    }
}
