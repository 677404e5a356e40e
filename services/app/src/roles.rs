//! Roles in tenants' accounts: assumed by Updraft's own identity at AWS, and the sessions that clusters are given in place of keys.
//!
//! A role has to ask for the credential's own external id, which is tried before it is used: one that does not could be named
//! by any other tenant. A session lies where a key would, encrypted, and another one takes its place in time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use thiserror::Error;
use updraft_aws::{ExternalId, RoleArn};
use updraft_model::{BootstrapSpec, CredentialConfig, CredentialName, FolderSource, TenantId};
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::{PgConnection, StoreError, credentials, role_sessions};

use crate::aws_identity::{NotAssumed, Role, RoleSession};
use crate::dags::credentials::found;
use crate::{App, AppError, AwsIdentity};

/// A session lasts an hour: nodes have one for half of it, whatever happens to control or AWS.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(30);
/// AWS may be out of reach for a while: tenants hear of it when so much of a session is left.
const UNANSWERED_TOLD: TimeDelta = TimeDelta::minutes(15);

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
            CredentialConfig::AwsRole { external_id, .. } => Some(
                self.config()
                    .aws
                    .as_ref()?
                    .trust_policy(&[external_id.as_deref()?]),
            ),
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
        let session = aws
            .prove(&role)
            .await
            .map_err(|refused| refused.at("config.role_arn"))?;
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
        let proven = self.aws()?.prove(&role).await;
        let session = proven.map_err(|refused| refused.at(field))?;
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
        let mut tx = self.store().begin().await?;
        let key = &self.config().master_key;
        role_sessions::keep(&mut tx, key, tenant, name, (config, &session)).await?;
        if role_sessions::note_refusal(&mut tx, tenant, name, config, None).await? {
            let message = format!("AWS lets Updraft assume the role of the credential `{name}` again");
            tell(
                &mut tx,
                tenant,
                name,
                ("role_assumed", EventSeverity::Info),
                &message,
            )
            .await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// For all clusters that name it, once.
    async fn keep_refusal(
        &self,
        tenant: TenantId,
        name: &CredentialName,
        config: &CredentialConfig,
        (refused, ends): (&NotAssumed, Option<DateTime<Utc>>),
    ) -> Result<(), AppError> {
        let left = ends.map_or(TimeDelta::zero(), |ends| ends - self.now());
        if !refused.is_refusal && left > UNANSWERED_TOLD {
            return Ok(());
        }
        let refusal = format!("the role of the credential `{name}` can't be assumed: {refused}");
        let mut tx = self.store().begin().await?;
        if role_sessions::note_refusal(&mut tx, tenant, name, config, Some(&refusal)).await? {
            let until = ends.unwrap_or_default().format("%H:%M UTC on %d %b %Y");
            let message = format!("{refusal}. The session that nodes have ends at {until}");
            tell(
                &mut tx,
                tenant,
                name,
                ("role_refused", EventSeverity::Warning),
                &message,
            )
            .await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Assumes the roles that sources and a script name; refuses those that [`Self::try_role`] does.
    pub(crate) async fn try_roles(
        &self,
        tenant: TenantId,
        sources: &[FolderSource],
        bootstrap: Option<&BootstrapSpec>,
    ) -> Result<(), AppError> {
        let of_sources = sources.iter().enumerate().filter_map(|(index, one)| {
            let name = one.source.credential()?;
            Some((name, format!("dag_sources[{index}].source.credential")))
        });
        let of_script = bootstrap.and_then(BootstrapSpec::credential);
        let of_script = of_script.map(|name| (name, "bootstrap.script.credential".to_owned()));
        let mut fields = BTreeMap::new();
        for (name, field) in of_sources.chain(of_script) {
            fields.entry(name).or_insert(field);
        }
        for (name, field) in fields {
            self.try_role(tenant, name, &field).await?;
        }
        Ok(())
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
        let roles = role_sessions::in_use(&mut connection).await?;
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
        let ends = RoleSession::kept(&opened.secret).map(|session| session.expires_at);
        if ends.is_some_and(|ends| ends > self.now() + RENEWED_BEFORE) {
            return Ok(());
        }
        let Some(role) = Role::of(name, &opened.config) else {
            return Ok(());
        };
        let session = match self.aws()?.assume(&role).await {
            Ok(session) => session,
            Err(refused) => {
                self.keep_refusal(tenant, name, &opened.config, (&refused, ends))
                    .await?;
                return Err(refused.at("config.role_arn"));
            }
        };
        self.keep(tenant, name, &opened.config, &session).await?;
        tracing::info!(tenant.id = %tenant, credential = %name, "a role was assumed again");
        Ok(())
    }
}

/// To the clusters that name the credential.
async fn tell(
    tx: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
    (kind, severity): (&str, EventSeverity),
    message: &str,
) -> Result<(), StoreError> {
    for cluster in credentials::named_by(tx, tenant, name).await? {
        let event = NewEvent {
            tenant,
            cluster: Some(cluster),
            node: None,
            service: None,
            kind,
            severity,
            message,
        };
        events::append(tx, &event).await?;
    }
    Ok(())
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
