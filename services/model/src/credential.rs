//! What a tenant's clusters prove themselves with elsewhere: named, and without the secret itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// A credential's name within its tenant: 1 to 40 of `a-z 0-9 -`, beginning with a letter, not ending in `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", example = "github")]
pub struct CredentialName(String);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{given}` is not a credential's name: use 1 to 40 of a-z, 0-9 and `-`, beginning with a letter, not ending in `-`"
)]
pub struct InvalidCredentialName {
    given: String,
}

/// What is known of a credential besides its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialConfig {
    /// For git over https. The secret is the token.
    GitToken {
        /// `github.com`; the token is sent to no other host.
        host: String,
        /// GitHub and GitLab take any; others want the account's.
        #[serde(default = "git_user")]
        username: String,
    },
    /// For git over ssh. The secret is the private key, without passphrase; left out, one is made.
    SshKey {
        /// Lines of `known_hosts` (`ssh-keyscan host`, compared with what the host's owner publishes): a host must show
        /// one of these keys.
        known_hosts: String,
    },
    /// For S3. The secret is the secret access key.
    S3Keys { access_key: String },
    /// For a package index. The secret is the password or token.
    PackageIndex {
        /// `pypi.example.com`; the secret is sent to no other host.
        host: String,
        /// `__token__` where the index takes tokens.
        #[serde(default = "token_user")]
        username: String,
    },
}

/// Kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    GitToken,
    SshKey,
    S3Keys,
    PackageIndex,
}

// === impl CredentialConfig ===

impl CredentialConfig {
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::GitToken { .. } => CredentialKind::GitToken,
            Self::SshKey { .. } => CredentialKind::SshKey,
            Self::S3Keys { .. } => CredentialKind::S3Keys,
            Self::PackageIndex { .. } => CredentialKind::PackageIndex,
        }
    }
}

fn git_user() -> String {
    "x-access-token".to_owned()
}

fn token_user() -> String {
    "__token__".to_owned()
}

// === impl CredentialKind ===

impl CredentialKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitToken => "git_token",
            Self::SshKey => "ssh_key",
            Self::S3Keys => "s3_keys",
            Self::PackageIndex => "package_index",
        }
    }
}

// === impl CredentialName ===

impl CredentialName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CredentialName {
    type Err = InvalidCredentialName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let well_formed = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.chars().all(allowed);
        if well_formed {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidCredentialName {
            given: text.chars().take(60).collect(),
        })
    }
}

impl TryFrom<String> for CredentialName {
    type Error = InvalidCredentialName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CredentialName> for String {
    fn from(name: CredentialName) -> Self {
        name.0
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
