//! What a tenant's clusters prove themselves with elsewhere: owners keep them, clusters name them, nobody sees them again.

use secrecy::SecretString;
use serde_json::json;
use updraft_api::dags::{CredentialView, NewCredential, ReplaceCredential};
use updraft_api::rest::Page;
use updraft_authz::{Actor, TenantAction};
use updraft_model::{CredentialConfig, CredentialName, EnvironmentSpec, FolderSource, TenantId};
use updraft_store::credentials::{self, CredentialRecord};
use updraft_store::secrets::SecretError;
use updraft_store::{PgConnection, StoreError, tenants};

use super::sources::credential_fits;
use super::{DagRefusal, ssh_key};
use crate::audit::{Change, Target, attempt};
use crate::aws_identity::RoleSession;
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access};

const LONGEST_SECRET: usize = 16 * 1024;

/// A credential fit to be kept.
struct Checked {
    config: CredentialConfig,
    public_key: Option<String>,
    secret: SecretString,
}

impl App {
    /// Without secrets.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_credentials(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<CredentialView>, AppError> {
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let (limit, after) = (request.limit()?, request.position::<String>()?);
        let mut connection = self.store().connection().await?;
        let records = credentials::list(&mut connection, actor.tenant, after.as_deref(), limit + 1).await?;
        Ok(page(
            records,
            limit,
            |record| record.name.to_string(),
            |record| self.credential_view(record),
        ))
    }

    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] by field; [`DagRefusal::CredentialNameTaken`].
    pub async fn create_credential(
        &self,
        actor: &Actor,
        new: NewCredential,
    ) -> Result<CredentialView, AppError> {
        let attempt = attempt("credential.create").on(target(&new.name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let checked = match new.config {
            CredentialConfig::AwsRole { .. } => Checked {
                config: self.new_role(new.config, new.secret.as_deref())?,
                public_key: None,
                secret: RoleSession::none(),
            },
            config => checked(&new.name, config, new.secret)?,
        };
        let mut tx = self.store().begin().await?;
        credentials::insert(
            &mut tx,
            &self.config().master_key,
            actor.tenant,
            &checked.named(&new.name),
        )
        .await
        .map_err(|error| match error {
            SecretError::Store(error) if error.is_conflict_on("credentials_pkey") => {
                DagRefusal::CredentialNameTaken {
                    name: new.name.to_string(),
                }
                .into()
            }
            other => AppError::from(other),
        })?;
        let made = self.credential_view(found(&mut tx, actor.tenant, &new.name).await?);
        attempt.done(&mut tx, actor, Change::made(json!(made))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(made)
    }

    /// Another configuration and secret under the same name, for all clusters that name it, at once.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`AppError::Invalid`] by field.
    pub async fn replace_credential(
        &self,
        actor: &Actor,
        name: &CredentialName,
        new: ReplaceCredential,
    ) -> Result<CredentialView, AppError> {
        let attempt = attempt("credential.replace").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let checked = match new.config {
            CredentialConfig::AwsRole { .. } => {
                let (config, secret) = self
                    .other_role(actor.tenant, name, new.config, new.secret.as_deref())
                    .await?;
                Checked {
                    config,
                    public_key: None,
                    secret,
                }
            }
            config => checked(name, config, new.secret)?,
        };
        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let before = found(&mut tx, actor.tenant, name).await?;
        if before.config.kind() != checked.config.kind() {
            let why = format!(
                "it stays of kind `{}`: make another credential for another kind",
                before.config.kind().as_str()
            );
            return Err(AppError::invalid("config.kind", why));
        }
        credentials::replace(
            &mut tx,
            &self.config().master_key,
            actor.tenant,
            &checked.named(name),
        )
        .await?;
        credentials::announce(&mut tx, actor.tenant, name).await?;
        let after = self.credential_view(found(&mut tx, actor.tenant, name).await?);
        let change = Change::between(json!(self.credential_view(before)), json!(after));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::NotFound`]; [`DagRefusal::CredentialInUse`].
    pub async fn delete_credential(&self, actor: &Actor, name: &CredentialName) -> Result<(), AppError> {
        let attempt = attempt("credential.delete").on(target(name));
        access::tenant(actor, TenantAction::ManageCredentials)?;
        let mut tx = self.store().begin().await?;
        // Whoever names it in a spec holds the same lock.
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        let record = found(&mut tx, actor.tenant, name).await?;
        if !record.used_by.is_empty() {
            return Err(DagRefusal::CredentialInUse {
                name: name.to_string(),
                clusters: record.used_by,
            }
            .into());
        }
        credentials::remove(&mut tx, actor.tenant, name).await?;
        let change = Change::removed(json!(self.credential_view(record)));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    fn credential_view(&self, record: CredentialRecord) -> CredentialView {
        CredentialView {
            trust_policy: self.trust_policy(&record.config),
            name: record.name,
            config: record.config,
            public_key: record.public_key,
            refusal: record.refusal,
            used_by: record.used_by,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// Refuses sources that name a credential which is not there, or is for something else.
pub(crate) async fn check_named(
    connection: &mut PgConnection,
    tenant: TenantId,
    sources: &[FolderSource],
) -> Result<(), AppError> {
    for (index, one) in sources.iter().enumerate() {
        let Some(name) = one.source.credential() else {
            continue;
        };
        let refuse = |why: String| AppError::invalid(format!("dag_sources[{index}].source.credential"), why);
        let record = credentials::find(connection, tenant, name).await?;
        let record = record.ok_or_else(|| {
            refuse(format!(
                "there is no credential `{name}`: an owner makes it with `updraft credential create`"
            ))
        })?;
        credential_fits(&one.source, &record.config).map_err(|why| refuse(why.to_owned()))?;
    }
    Ok(())
}

/// The same for an environment's package index.
pub(crate) async fn check_index(
    connection: &mut PgConnection,
    tenant: TenantId,
    environment: &EnvironmentSpec,
) -> Result<(), AppError> {
    let named = environment
        .package_index
        .as_ref()
        .and_then(|index| Some((index, index.credential.as_ref()?)));
    let Some((index, name)) = named else { return Ok(()) };
    let refuse = |why: String| AppError::invalid("environment.package_index.credential", why);
    let record = credentials::find(connection, tenant, name).await?;
    let record = record.ok_or_else(|| {
        refuse(format!(
            "there is no credential `{name}`: an owner makes it with `updraft credential create`"
        ))
    })?;
    index.fits(&record.config).map_err(|why| refuse(why.to_owned()))
}

pub(crate) async fn found(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &CredentialName,
) -> Result<CredentialRecord, AppError> {
    let record = credentials::find(connection, tenant, name).await?;
    record.ok_or(AppError::NotFound(Resource::Credential))
}

fn checked(
    name: &CredentialName,
    config: CredentialConfig,
    secret: Option<String>,
) -> Result<Checked, AppError> {
    let comment = format!("updraft-{name}");
    if let (CredentialConfig::SshKey { known_hosts }, None) = (&config, &secret) {
        let known_hosts = pinned(known_hosts)?;
        let (secret, public) = ssh_key::made_of(&rand::random(), rand::random(), &comment);
        return Ok(Checked {
            config: CredentialConfig::SshKey { known_hosts },
            public_key: Some(public),
            secret,
        });
    }
    let secret = secret.ok_or_else(|| AppError::invalid("secret", "give the secret itself"))?;
    let config = checked_config(config)?;
    let (secret, public_key) = match &config {
        CredentialConfig::SshKey { .. } => {
            let half = ssh_key::public_half(&secret, &comment);
            let public = half.map_err(|why| AppError::invalid("secret", why))?;
            // OpenSSH wants the line to end.
            (format!("{}\n", secret.trim()), public)
        }
        CredentialConfig::GitToken { .. }
        | CredentialConfig::S3Keys { .. }
        | CredentialConfig::AwsRole { .. }
        | CredentialConfig::PackageIndex { .. } => (one_line(&secret)?, None),
    };
    if secret.len() > LONGEST_SECRET {
        return Err(AppError::invalid("secret", "no secret is longer than 16 KiB"));
    }
    Ok(Checked {
        config,
        public_key,
        secret: secret.into(),
    })
}

fn pinned(known_hosts: &str) -> Result<String, AppError> {
    ssh_key::known_hosts(known_hosts).map_err(|why| AppError::invalid("config.known_hosts", why))
}

fn checked_config(config: CredentialConfig) -> Result<CredentialConfig, AppError> {
    let user = |name: String| match name_is_plain(&name) {
        true => Ok(name),
        false => {
            let why = "a user name has 1 to 100 printable characters and no `:`";
            Err(AppError::invalid("config.username", why))
        }
    };
    Ok(match config {
        CredentialConfig::GitToken { host, username } => CredentialConfig::GitToken {
            host: plain_host(&host)?,
            username: user(username)?,
        },
        CredentialConfig::SshKey { known_hosts } => CredentialConfig::SshKey {
            known_hosts: pinned(&known_hosts)?,
        },
        CredentialConfig::PackageIndex { host, username } => CredentialConfig::PackageIndex {
            host: plain_host(&host)?,
            username: user(username)?,
        },
        CredentialConfig::S3Keys { access_key } => {
            let fine =
                (3..=128).contains(&access_key.len()) && access_key.chars().all(|c| c.is_ascii_graphic());
            if !fine {
                let why = "give the access key's id, like `AKIAIOSFODNN7EXAMPLE`";
                return Err(AppError::invalid("config.access_key", why));
            }
            CredentialConfig::S3Keys { access_key }
        }
        role @ CredentialConfig::AwsRole { .. } => role,
    })
}

fn name_is_plain(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != ':';
    (1..=100).contains(&name.chars().count()) && name.chars().all(plain)
}

/// `github.com`, `git.example.com:8443`
fn plain_host(host: &str) -> Result<String, AppError> {
    let host = host.to_ascii_lowercase();
    let (name, port) = host.split_once(':').unwrap_or((&host, "443"));
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let named =
        !name.is_empty() && name.len() <= 253 && name.chars().all(part) && !name.starts_with(['-', '.']);
    match port.parse::<u16>() {
        Ok(443) if named => Ok(name.to_owned()),
        Ok(port) if named && port > 0 => Ok(format!("{name}:{port}")),
        _ => {
            let why = "name the host alone, like `github.com`, with `:port` if it is not 443";
            Err(AppError::invalid("config.host", why))
        }
    }
}

/// Files and pipes end in a line break that is no part of the secret.
fn one_line(secret: &str) -> Result<String, AppError> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.chars().any(char::is_control) {
        let why = "give the secret in one line, without anything around it";
        return Err(AppError::invalid("secret", why));
    }
    Ok(secret.to_owned())
}

fn target(name: &CredentialName) -> Target {
    Target::new("credential", name, Some(name.as_str()))
}

// === impl Checked ===

impl Checked {
    fn named<'a>(&'a self, name: &'a CredentialName) -> credentials::NewCredential<'a> {
        credentials::NewCredential {
            name,
            config: &self.config,
            public_key: self.public_key.as_deref(),
            secret: &self.secret,
        }
    }
}
