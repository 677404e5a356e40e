//! `updraft credential …`: what clusters prove themselves with elsewhere. Secrets come from a file or standard input.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use updraft_api::dags::{CredentialView, NewCredential, ReplaceCredential};
use updraft_client::Client;
use updraft_model::{CredentialConfig, CredentialKind, CredentialName};

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Keep a credential (owners)
    #[command(after_help = help::CREDENTIAL_CREATE)]
    Create {
        #[command(subcommand)]
        kind: Kind,
    },
    /// Put another secret in place of one, for all clusters that read with it (owners)
    #[command(after_help = help::CREDENTIAL_REPLACE)]
    Replace {
        #[command(subcommand)]
        kind: Kind,
    },
    /// List credentials, without their secrets (owners)
    #[command(visible_alias = "ls", after_help = help::CREDENTIAL)]
    List,
    /// Delete a credential that no cluster reads with (owners)
    #[command(after_help = help::CREDENTIAL)]
    Delete {
        /// Its name
        name: CredentialName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// A token for git over https
    #[command(after_help = help::CREDENTIAL_CREATE)]
    GitToken {
        /// To name it by
        name: CredentialName,
        /// The token is sent to this host and no other, for example github.com
        #[arg(long)]
        host: String,
        /// GitHub and GitLab take any
        #[arg(long, default_value = "x-access-token")]
        username: String,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// A key for git over ssh
    #[command(after_help = help::CREDENTIAL_CREATE)]
    SshKey {
        /// To name it by
        name: CredentialName,
        /// Lines of known_hosts, as `ssh-keyscan HOST` prints them: the host must show one of these keys
        #[arg(long, value_name = "FILE")]
        known_hosts: PathBuf,
        /// A private key without passphrase [default: one is made, and its public half printed]
        #[arg(long, value_name = "FILE")]
        private_key: Option<PathBuf>,
    },
    /// An access key for S3
    #[command(after_help = help::CREDENTIAL_CREATE)]
    S3Keys {
        /// To name it by
        name: CredentialName,
        /// The access key's id; its secret is read like every secret
        #[arg(long, value_name = "ID")]
        access_key: String,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// A role in your own account at AWS, which Updraft assumes: no key is kept
    #[command(after_help = help::CREDENTIAL_CREATE)]
    AwsRole {
        /// To name it by
        name: CredentialName,
        /// For example arn:aws:iam::123456789012:role/airflow-logs
        #[arg(long, value_name = "ARN")]
        role_arn: String,
    },
    /// A password or token for a package index
    #[command(after_help = help::CREDENTIAL_CREATE)]
    PackageIndex {
        /// To name it by
        name: CredentialName,
        /// The secret is sent to this host and no other, for example pypi.example.com
        #[arg(long)]
        host: String,
        /// Where the index takes no tokens: the account's
        #[arg(long, default_value = "__token__")]
        username: String,
        #[command(flatten)]
        secret: SecretArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct SecretArgs {
    /// Where the secret stands [default: standard input]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

// === impl CredentialCommand ===

impl CredentialCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Create { kind } => {
                let (name, config, secret) = kind.read()?;
                let new = NewCredential { name, config, secret };
                told(&client.create_credential(&new).await?, "Keeps", global)
            }
            Self::Replace { kind } => {
                let (name, config, secret) = kind.read()?;
                let new = ReplaceCredential { config, secret };
                told(&client.replace_credential(&name, &new).await?, "Replaced", global)
            }
            Self::List => list(client, global).await,
            Self::Delete { name } => {
                client.delete_credential(&name).await?;
                output::print(&format!("Deleted `{name}`."))
            }
        }
    }
}

fn told(kept: &CredentialView, did: &str, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(kept);
    }
    match kept.config.kind() {
        CredentialKind::PackageIndex => eprintln!(
            "{did} `{}`: name it with `updraft cluster update … --package-index-credential {}`.",
            kept.name, kept.name
        ),
        CredentialKind::GitToken | CredentialKind::SshKey | CredentialKind::S3Keys => eprintln!(
            "{did} `{}`: name it in a source with `#credential={}`.",
            kept.name, kept.name
        ),
        CredentialKind::AwsRole => eprintln!(
            "{did} `{}`: name it for a bucket, as in `updraft cluster update … --dags 's3://…#region=…&credential={}'` \
             or `--log-bucket`.",
            kept.name, kept.name
        ),
    }
    if let CredentialConfig::AwsRole {
        external_id: Some(id),
        ..
    } = &kept.config
    {
        eprintln!("External id: {id}");
    }
    let paste = match (&kept.public_key, &kept.trust_policy) {
        (Some(key), _) => (
            "Let this key read the repository (GitHub: Settings, Deploy keys):",
            key,
        ),
        (None, Some(policy)) => (
            "Give the role this trust policy (IAM: Roles, Trust relationships):",
            policy,
        ),
        (None, None) => return Ok(()),
    };
    eprintln!("{}", paste.0);
    output::print(paste.1)
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let credentials = client.credentials().await?;
    if global.output == Format::Json {
        return output::json(&credentials);
    }
    let mut table = Table::new(["NAME", "KIND", "FOR", "USED BY"]);
    for one in &credentials {
        table.row([
            one.name.to_string(),
            one.config.kind().as_str().to_owned(),
            purpose(&one.config),
            one.used_by.join(", "),
        ]);
    }
    output::print(&table.render())?;
    for refusal in credentials.iter().filter_map(|one| one.refusal.as_ref()) {
        output::print(&format!("! {refusal}"))?;
    }
    Ok(())
}

fn purpose(config: &CredentialConfig) -> String {
    match config {
        CredentialConfig::GitToken { host, .. } | CredentialConfig::PackageIndex { host, .. } => host.clone(),
        CredentialConfig::SshKey { known_hosts } => {
            let hosts = known_hosts.split_whitespace().next().unwrap_or_default();
            hosts.chars().take(60).collect()
        }
        CredentialConfig::S3Keys { access_key } => access_key.clone(),
        CredentialConfig::AwsRole { role_arn, .. } => role_arn.clone(),
    }
}

// === impl Kind ===

impl Kind {
    fn read(self) -> Result<(CredentialName, CredentialConfig, Option<String>), CliError> {
        Ok(match self {
            Self::GitToken {
                name,
                host,
                username,
                secret,
            } => (
                name,
                CredentialConfig::GitToken { host, username },
                Some(secret.read()?),
            ),
            Self::SshKey {
                name,
                known_hosts,
                private_key,
            } => {
                let known_hosts = file(&known_hosts)?;
                let key = private_key.as_ref().map(file).transpose()?;
                (name, CredentialConfig::SshKey { known_hosts }, key)
            }
            Self::S3Keys {
                name,
                access_key,
                secret,
            } => (
                name,
                CredentialConfig::S3Keys { access_key },
                Some(secret.read()?),
            ),
            Self::AwsRole { name, role_arn } => {
                let config = CredentialConfig::AwsRole {
                    role_arn,
                    external_id: None,
                };
                (name, config, None)
            }
            Self::PackageIndex {
                name,
                host,
                username,
                secret,
            } => (
                name,
                CredentialConfig::PackageIndex { host, username },
                Some(secret.read()?),
            ),
        })
    }
}

// === impl SecretArgs ===

impl SecretArgs {
    fn read(&self) -> Result<String, CliError> {
        if let Some(path) = &self.secret_file {
            return file(path);
        }
        let unreadable =
            |error: io::Error| CliError::io("cannot read the secret from standard input", &error);
        if io::stdin().is_terminal() {
            return rpassword::prompt_password("Secret: ").map_err(unreadable);
        }
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        Ok(text)
    }
}

fn file(path: &PathBuf) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        let what = format!("cannot read {}", path.display());
        CliError::new(Exit::Usage, what).why(error.to_string())
    })
}
