//! Roles in tenants' accounts: assumed by Updraft's own identity at AWS, and the sessions that clusters are given in place of keys.
//!
//! A role has to ask for the credential's own external id, which is tried before it is used: one that does not could be named
//! by any other tenant. A session lies where a key would, encrypted, and another one takes its place in time.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use updraft_api::agent::KeyPair;
use updraft_aws::{
    AssumedRole, AwsError, Client, CredentialSource as _, ExternalId, PrincipalArn, RoleArn, SessionName,
};
use updraft_model::{CredentialConfig, CredentialName, TenantId};
use updraft_store::credentials;

use crate::dags::credentials::found;
use crate::{App, AppError};

/// A session lasts an hour: nodes have one for half of it, whatever happens to control or AWS.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(30);

/// What AWS says of a role that is not there, or trusts somebody else.
const DENIED: &str = "AccessDenied";

/// Who Updraft is at AWS.
#[derive(Clone)]
pub struct AwsIdentity {
    principal: PrincipalArn,
    sts: Arc<Client>,
}

/// A role in use could not be assumed again, this time.
#[derive(Debug, Error)]
#[error("the role of credential {name} could not be assumed again")]
pub struct RoleRefusal {
    pub tenant: TenantId,
    pub name: CredentialName,
    source: AppError,
}

/// What is known of a role credential, valid.
struct Role {
    arn: RoleArn,
    external_id: ExternalId,
    session: SessionName,
}

/// Keys that end by themselves, as they are kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoleSession {
    #[serde(flatten)]
    keys: KeyPair,
    expires_at: DateTime<Utc>,
}

// === impl AwsIdentity ===

impl AwsIdentity {
    /// Tenants' trust policies name `principal`, which is who `sts` asks as.
    #[must_use]
    pub fn new(principal: PrincipalArn, sts: Client) -> Self {
        Self {
            principal,
            sts: Arc::new(sts),
        }
    }

    fn trust_policy(&self, external_id: &str) -> String {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": self.principal.to_string()},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
            }],
        });
        format!("{policy:#}")
    }

    /// Refuses a role that whoever does not know the external id may assume as well.
    async fn prove(&self, role: &Role, field: &str) -> Result<RoleSession, AppError> {
        let session = self.assume(role, field).await?;
        match self.ask(role, ExternalId::generate()).await {
            Err(error) if error.code() == Some(DENIED) => Ok(session),
            Err(error) => Err(AppError::invalid(field, self.fault(role, &error))),
            Ok(_) => {
                let why = format!(
                    "`{}` lets Updraft in without its external id, so that others who use Updraft could name it too: give it \
                     the trust policy that the credential shows, with its condition",
                    role.arn
                );
                Err(AppError::invalid(field, why))
            }
        }
    }

    async fn assume(&self, role: &Role, field: &str) -> Result<RoleSession, AppError> {
        let answer = self.ask(role, role.external_id.clone()).await;
        answer.map_err(|error| {
            tracing::info!(role.arn = %role.arn, error = &error as &dyn std::error::Error, "a role was not assumed");
            AppError::invalid(field, self.fault(role, &error))
        })
    }

    async fn ask(&self, role: &Role, external_id: ExternalId) -> Result<RoleSession, AwsError> {
        let source = AssumedRole::new(
            self.sts.clone(),
            role.arn.clone(),
            Some(external_id),
            role.session.clone(),
        );
        let given = source.credentials().await?;
        Ok(RoleSession {
            keys: KeyPair {
                access_key: given.access_key,
                secret_key: given.secret_key,
                session_token: given.session_token,
            },
            expires_at: given.expires_at.unwrap_or_else(Utc::now),
        })
    }

    /// What a person can do about it.
    fn fault(&self, role: &Role, error: &AwsError) -> String {
        match error.code() {
            Some(DENIED) => format!(
                "AWS does not let Updraft assume `{}` (AccessDenied): there is no such role, or its trust policy does not allow \
                 sts:AssumeRole to `{}` with the external id `{}`. Paste the trust policy that the credential shows",
                role.arn, self.principal, role.external_id
            ),
            Some(code) => format!("AWS refuses to assume `{}` ({code}): look at the role in IAM", role.arn),
            None => "AWS can't be asked for the role by this installation now: try again in a minute; if it stays so, your \
                     operator looks at control's log"
                .to_owned(),
        }
    }
}

impl fmt::Debug for AwsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsIdentity")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

// === impl Role ===

impl Role {
    /// None: it is no role.
    fn of(name: &CredentialName, config: &CredentialConfig) -> Option<Self> {
        let CredentialConfig::AwsRole {
            role_arn,
            external_id,
        } = config
        else {
            return None;
        };
        Some(Self {
            arn: role_arn.parse().ok()?,
            external_id: external_id.as_ref()?.parse().ok()?,
            session: SessionName::of(name.as_str()),
        })
    }
}

// === impl RoleSession ===

impl RoleSession {
    /// What is kept of a role that was never assumed.
    pub(crate) fn none() -> SecretString {
        "null".into()
    }

    /// None: the role was never assumed.
    pub(crate) fn kept(secret: &SecretString) -> Option<Self> {
        serde_json::from_str::<Option<Self>>(secret.expose_secret()).ok()?
    }

    pub(crate) fn into_keys(self) -> KeyPair {
        self.keys
    }

    fn to_keep(&self) -> Result<SecretString, AppError> {
        let text = serde_json::to_string(self).map_err(|_| AppError::Internal {
            what: "writing a role's session down",
        })?;
        Ok(text.into())
    }
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
