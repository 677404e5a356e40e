//! What a node does before its services start.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{CredentialName, Generation};

/// A tenant's own script. It is tried beside what runs before any node starts with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BootstrapSpec {
    /// Absent: services start at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<BootstrapScript>,
    /// Longest time on one node: 5 to 300 s.
    pub time_limit_s: u32,
    /// The generation that asked for the object to be read. Written by Updraft alone: what a client sends here is not
    /// looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Generation>,
}

/// Where the script stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BootstrapScript {
    /// The text itself: at most 32 KiB. Without `#!` in its first line bash runs it.
    Inline { text: String },
    /// An object of a bucket of the tenant's own. It is read when it is asked for: nodes run what was tried.
    S3 {
        bucket: String,
        key: String,
        /// For example `eu-west-1`.
        region: String,
        /// `https://…` of a storage that is not AWS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Name of a credential of kind `s3_keys` or `aws_role`. Absent: it is read by nobody in particular, as public ones are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<CredentialName>,
    },
}

/// What of a [`BootstrapSpec`] makes one script differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootstrapKey {
    pub script: BootstrapScript,
    pub read_at: Option<Generation>,
}

// === impl BootstrapSpec ===

impl BootstrapSpec {
    /// None: there is nothing to run.
    #[must_use]
    pub fn key(&self) -> Option<BootstrapKey> {
        Some(BootstrapKey {
            script: self.script.clone()?,
            read_at: self.read_at,
        })
    }

    /// The credential that an object is read with.
    #[must_use]
    pub fn credential(&self) -> Option<&CredentialName> {
        match &self.script {
            Some(BootstrapScript::S3 { credential, .. }) => credential.as_ref(),
            Some(BootstrapScript::Inline { .. }) | None => None,
        }
    }

    /// As asked for at a generation: an object is read again whenever somebody names it.
    #[must_use]
    pub fn asked_at(self, generation: Generation) -> Self {
        let is_object = matches!(self.script, Some(BootstrapScript::S3 { .. }));
        Self {
            read_at: is_object.then_some(generation),
            ..self
        }
    }
}

impl Default for BootstrapSpec {
    fn default() -> Self {
        Self {
            script: None,
            time_limit_s: 120,
            read_at: None,
        }
    }
}

// === impl BootstrapScript ===

impl fmt::Display for BootstrapScript {
    /// In one line, as people name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline { text } => write!(f, "{} lines of its own", text.lines().count()),
            Self::S3 { bucket, key, .. } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}
