//! Where a cluster's DAGs come from: sources, each in a folder of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{CaCertificate, CredentialName};

/// One source and the folder of the cluster's DAGs that it fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderSource {
    /// Empty: the source fills all of it, and is the only one.
    #[serde(default)]
    pub folder: DagFolder,
    pub source: DagSource,
    /// The authority that the source's server has its certificate from, instead of the public ones: PEM, or one line of base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<CaCertificate>,
}

/// Where the DAGs of one folder come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DagSource {
    /// Objects below `prefix` of the cluster's own bucket.
    ClusterBucket {
        /// Key prefix without leading slash, for example `dags/`.
        prefix: String,
    },
    /// What was last pushed: `updraft dags push`, `POST /clusters/{id}/dags/push`.
    Push {},
    /// Objects below `prefix` of a bucket of the tenant's own.
    S3 {
        bucket: String,
        /// Key prefix without leading slash; empty for the whole bucket.
        #[serde(default)]
        prefix: String,
        /// For example `eu-west-1`.
        region: String,
        /// `https://…` of a storage that is not AWS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Name of a credential of kind `s3_keys` or `aws_role`; the queue is asked with it too. Absent: it is read by nobody in
        /// particular, as public buckets are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<CredentialName>,
        /// `https://sqs.…` of a queue that gets the bucket's event notifications.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue_url: Option<String>,
    },
    /// A directory of a git repository.
    Git {
        /// `https://host/path` or `ssh://user@host/path`; `git@host:path` is taken for the latter.
        url: String,
        /// Branch, tag or commit.
        #[serde(rename = "ref", default = "main")]
        reference: String,
        /// Directory within the repository; empty for all of it.
        #[serde(default)]
        path: String,
        #[serde(default)]
        submodules: bool,
        /// Name of a credential: `git_token` for https, `ssh_key` for ssh.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<CredentialName>,
    },
}

/// A folder directly below the top of a cluster's DAGs: up to 60 of `a-z A-Z 0-9 _ -`, beginning with a letter. Empty: the
/// top itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^([A-Za-z][A-Za-z0-9_-]{0,59})?$", example = "team_a")]
pub struct DagFolder(String);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{given}` is no folder: use up to 60 letters, digits, `_` and `-`, beginning with a letter, or nothing for the top"
)]
pub struct InvalidFolder {
    given: String,
}

// === impl DagSource ===

impl DagSource {
    /// The credential that it is read with.
    #[must_use]
    pub fn credential(&self) -> Option<&CredentialName> {
        match self {
            Self::S3 { credential, .. } | Self::Git { credential, .. } => credential.as_ref(),
            Self::ClusterBucket { .. } | Self::Push {} => None,
        }
    }
}

impl fmt::Display for DagSource {
    /// In one line, as people name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterBucket { prefix } => write!(f, "the cluster's bucket, {prefix}"),
            Self::Push {} => f.write_str("updraft dags push"),
            Self::S3 { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Git {
                url, reference, path, ..
            } if path.is_empty() => write!(f, "git+{url}@{reference}"),
            Self::Git {
                url, reference, path, ..
            } => write!(f, "git+{url}@{reference}#path={path}"),
        }
    }
}

// === impl DagFolder ===

impl DagFolder {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the whole of the cluster's DAGs.
    #[must_use]
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for DagFolder {
    type Err = InvalidFolder;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if text.is_empty() || (begins && text.len() <= 60 && text.chars().all(plain)) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidFolder {
            given: text.chars().take(60).collect(),
        })
    }
}

impl TryFrom<String> for DagFolder {
    type Error = InvalidFolder;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DagFolder> for String {
    fn from(folder: DagFolder) -> Self {
        folder.0
    }
}

impl fmt::Display for DagFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> String {
    "main".to_owned()
}

#[cfg(test)]
mod tests {
    use super::{DagFolder, DagSource, FolderSource};

    #[test]
    fn folders_are_plain() {
        for good in ["", "a", "team_a", "Team-7"] {
            assert_eq!(good.parse::<DagFolder>().unwrap().as_str(), good);
        }
        for bad in [
            ".",
            "..",
            "a/b",
            "/a",
            "-a",
            "_a",
            "a b",
            "ä",
            "a\0",
            &"x".repeat(61),
        ] {
            assert!(bad.parse::<DagFolder>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text = r#"{"source":{"kind":"git","url":"https://example.com/r.git"}}"#;
        let source: FolderSource = serde_json::from_str(text).unwrap();
        assert!(source.folder.is_top());
        assert_eq!(source.source.to_string(), "git+https://example.com/r.git@main");
        let again = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<FolderSource>(&again).unwrap(), source);
    }

    #[test]
    fn unknown_fields_are_refused() {
        for bad in [
            r#"{"kind":"push","prefix":"x"}"#,
            r#"{"kind":"git","url":"u","branch":"main"}"#,
        ] {
            assert!(serde_json::from_str::<DagSource>(bad).is_err(), "{bad}");
        }
    }
}
