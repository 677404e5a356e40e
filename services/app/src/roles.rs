//! Roles in tenants' accounts: assumed by Updraft's own identity at AWS, and the sessions that clusters are given in place of keys.
//!
//! A role has to ask for the credential's own external id, which is tried before it is used: one that does not could be named
//! by any other tenant. A session lies where a key would, encrypted, and another one takes its place in time.

use chrono::TimeDelta;
use secrecy::SecretString;
use thiserror::Error;
use updraft_aws::{ExternalId, RoleArn};
use updraft_model::{CredentialConfig, CredentialName, TenantId};
use updraft_store::credentials;

use crate::aws_identity::{Role, RoleSession};
use crate::dags::credentials::found;
use crate::{App, AppError, AwsIdentity};

/// A session lasts an hour: nodes have one for half of it, whatever happens to control or AWS.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(30);

/// A role in use could not be assumed again, this time.
#[derive(Debug, Error)]
#[error("the role of credential {name} could not be assumed again")]
pub struct RoleRefusal {
    pub tenant: TenantId,
    pub name: CredentialName,
    source: AppError,
}

impl App {
    fn aws(&self) -> Result<&AwsIdentity, AppError> {
        self.config().aws.as_ref().ok_or_else(|| {
            let why = "this installation is nobody at AWS: its operator starts it with `--aws-identity`; a credential of kind \
                       `s3_keys` needs none";
            AppError::invalid("config.kind", why)
        })
    }

    /// None: it is no role, or there is nobody whom it could trust.
    pub(crate) fn trust_policy(&self, config: &CredentialConfig) -> Option<String> {
        match config {
            CredentialConfig::AwsRole { external_id, .. } => {
                Some(self.config().aws.as_ref()?.trust_policy(external_id.as_ref()?))
            }
            CredentialConfig::GitToken { .. }
            | CredentialConfig::SshKey { .. }
            | CredentialConfig::S3Keys { .. }
            | CredentialConfig::PackageIndex { .. } => None,
        }
    }

    /// With an external id of its own.
    pub(crate) fn new_role(
        &self,
        asked: CredentialConfig,
        secret: Option<&str>,
    ) -> Result<CredentialConfig, AppError> {
        self.aws()?;
        role_config(asked, &ExternalId::generate(), secret)
    }

    /// Another role by the same external id, and a session of it: clusters go over to it at once.
    pub(crate) async fn other_role(
        &self,
        tenant: TenantId,
        name: &CredentialName,
        asked: CredentialConfig,
        secret: Option<&str>,
    ) -> Result<(CredentialConfig, SecretString), AppError> {
        let aws = self.aws()?;
        let mut connection = self.store().connection().await?;
        let before = found(&mut connection, tenant, name).await?;
        drop(connection);
        let Some(before) = Role::of(name, &before.config) else {
            let why = format!("it stays of kind `{}`", before.config.kind().as_str());
            return Err(AppError::invalid("config.kind", why));
        };
        let config = role_config(asked, &before.external_id, secret)?;
        let role = Role::of(name, &config).ok_or(AppError::Internal {
            what: "reading a role back",
        })?;
        let session = aws.prove(&role, "config.role_arn").await?;
        Ok((config, session.to_keep()?))
    }

    /// Assumes the role that a credential is, if it is one, and keeps the session. Refuses one that doesn't let Updraft in, or
    /// lets in more than that.
    pub(crate) async fn try_role(
        &self,
        tenant: TenantId,
        name: &CredentialName,
        field: &str,
    ) -> Result<(), AppError> {
        let mut connection = self.store().connection().await?;
        let record = credentials::find(&mut connection, tenant, name).await?;
        drop(connection);
        let Some((config, role)) = record.and_then(|record| {
            let role = Role::of(name, &record.config)?;
            Some((record.config, role))
        }) else {
            return Ok(());
        };
        let session = self.aws()?.prove(&role, field).await?;
        self.keep(tenant, name, &config, &session).await
    }

    async fn keep(
        &self,
        tenant: TenantId,
        name: &CredentialName,
        config: &CredentialConfig,
        session: &RoleSession,
    ) -> Result<(), AppError> {
        let session = session.to_keep()?;
        let mut connection = self.store().connection().await?;
        let key = &self.config().master_key;
        Ok(credentials::keep_session(&mut connection, key, tenant, name, (config, &session)).await?)
    }

    /// Assumes roles in use again that nodes have a session of for half an hour or less; the refusals. Any number of control
    /// processes may do so at once: each session is good.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn renew_roles(&self) -> Result<Vec<RoleRefusal>, AppError> {
        if self.config().aws.is_none() {
            return Ok(Vec::new());
        }
        let mut connection = self.store().connection().await?;
        let roles = credentials::roles_in_use(&mut connection).await?;
        drop(connection);
        let mut refused = Vec::new();
        for (tenant, name) in roles {
            if let Err(source) = self.renew_role(tenant, &name).await {
                refused.push(RoleRefusal { tenant, name, source });
            }
        }
        Ok(refused)
    }

    async fn renew_role(&self, tenant: TenantId, name: &CredentialName) -> Result<(), AppError> {
        let key = &self.config().master_key;
        let mut connection = self.store().connection().await?;
        let opened = credentials::open(&mut connection, key, tenant, name).await?;
        drop(connection);
        let Some(opened) = opened else { return Ok(()) };
        let lasts = |session: RoleSession| session.expires_at > self.now() + RENEWED_BEFORE;
        if RoleSession::kept(&opened.secret).is_some_and(lasts) {
            return Ok(());
        }
        let Some(role) = Role::of(name, &opened.config) else {
            return Ok(());
        };
        let session = self.aws()?.assume(&role, "config.role_arn").await?;
        self.keep(tenant, name, &opened.config, &session).await?;
        tracing::info!(tenant.id = %tenant, credential = %name, "a role was assumed again");
        Ok(())
    }
}

/// What is kept of what was asked for. Pure.
fn role_config(
    asked: CredentialConfig,
    external_id: &ExternalId,
    secret: Option<&str>,
) -> Result<CredentialConfig, AppError> {
    let CredentialConfig::AwsRole {
        role_arn,
        external_id: given,
    } = asked
    else {
        return Ok(asked);
    };
    if given.is_some_and(|given| given != external_id.to_string()) {
        let why = "leave it out: Updraft generates it, so that no other tenant can name your role";
        return Err(AppError::invalid("config.external_id", why));
    }
    if secret.is_some() {
        return Err(AppError::invalid("secret", "a role has no secret: leave it out"));
    }
    let arn = role_arn.trim().parse::<RoleArn>();
    let arn = arn.map_err(|error| AppError::invalid("config.role_arn", error.to_string()))?;
    Ok(CredentialConfig::AwsRole {
        role_arn: arn.to_string(),
        external_id: Some(external_id.to_string()),
    })
}
