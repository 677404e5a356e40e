//! What agents are told of a cluster's DAGs, and what they say of them: part of the agents' protocol (see [`crate::agent`]).
//!
//! The node that resolves gets the sources with their credentials; the others only fetch versions. A version is named by
//! its content's digest and is the snapshot of all sources together, each in its folder.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use updraft_model::RequirementsFile;
use utoipa::ToSchema;

use crate::agent::{expose, expose_some};

/// Where the node's DAGs come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DagDelivery {
    /// The cluster's own bucket: versions are published there.
    pub endpoint: String,
    #[serde(default = "region")]
    pub region: String,
    pub bucket: String,
    /// Published versions: `updraft/dag-versions/` (`current`, `<digest>.tar.zst`).
    pub versions_prefix: String,
    pub access_key: String,
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// Of keys that end by themselves.
    #[serde(
        default,
        serialize_with = "expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_token: Option<SecretString>,
    /// Exactly one node resolves the sources into versions; the others fetch them.
    pub resolver: bool,
    /// Empty on nodes that do not resolve.
    pub sources: Vec<SourceDelivery>,
    /// The version somebody rolled back to: it is current until this is none again, whatever the sources say.
    #[serde(default)]
    pub pinned: Option<String>,
    /// Versions whose plugins the cluster's environments are made of: they stay published.
    #[serde(default)]
    pub kept: Vec<String>,
    /// Grows with each asked-for look at the sources (webhook, push, `dags sync`): the resolver looks at once.
    #[serde(default)]
    pub sync_nonce: i64,
    /// Destinations that the installation opens for sources beyond the public internet (`--outbound-allow`).
    #[serde(default)]
    pub outbound_allow: Vec<String>,
}

/// What was delivered before regions were.
fn region() -> String {
    "us-east-1".to_owned()
}

/// One source and the folder of a version that it fills.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceDelivery {
    /// Empty for the top, else `team_a`; no folder lies in another's.
    pub folder: String,
    pub from: SourceFrom,
    /// The authority that the source's server has its certificate from, instead of the public ones: base64 of its DER.
    #[serde(default)]
    pub ca_certificate: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceFrom {
    /// Objects below a prefix of the cluster's own bucket.
    ClusterBucket { prefix: String },
    /// What was last pushed: `<prefix><sha256>.tar.gz`, the latest named by the object `<prefix>current`, a
    /// [`CurrentPush`] as JSON. No such object: nothing was pushed yet.
    Push { prefix: String },
    /// The tenant's own bucket, read with the tenant's credentials.
    S3 {
        /// None: AWS itself in `region`.
        endpoint: Option<String>,
        region: String,
        bucket: String,
        prefix: String,
        credential: Option<KeyPair>,
        /// An SQS queue that gets the bucket's event notifications.
        queue_url: Option<String>,
    },
    Git {
        /// `https://…` or `ssh://user@host[:port]/…`
        url: String,
        /// Branch, tag or commit.
        reference: String,
        /// Directory within the repository; empty for all of it.
        path: String,
        submodules: bool,
        credential: Option<GitCredential>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyPair {
    pub access_key: String,
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// Of keys that end by themselves.
    #[serde(
        default,
        serialize_with = "expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_token: Option<SecretString>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GitCredential {
    Token {
        username: String,
        #[serde(serialize_with = "expose")]
        token: SecretString,
    },
    SshKey {
        /// OpenSSH or PEM, without passphrase.
        #[serde(serialize_with = "expose")]
        private_key: SecretString,
        /// Lines of `known_hosts`: the host must show one of these keys.
        known_hosts: String,
    },
}

/// Content of the object `<prefix>current` of a push: control writes it after the archive that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentPush {
    /// Of the archive's bytes, in lower-case hex; also the source's revision.
    pub sha256: String,
    pub author: Option<String>,
    pub message: Option<String>,
    pub pushed_at: DateTime<Utc>,
}

/// Versions that stay published, the newest and the pinned one: what people can roll back to.
pub const KEPT_VERSIONS: usize = 20;

// --- upwards, untrusted like every report ---

/// What a node knows of its DAGs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagReport {
    /// Since when the report's `dag_version` is live on this node.
    pub live_since: Option<DateTime<Utc>>,
    /// From the resolver: the latest version it published.
    pub published: Option<PublishedVersion>,
    /// From the scheduler node: the latest version that Airflow recorded.
    pub parsed: Option<ParsedVersion>,
    /// From the resolver, one for each source.
    pub sources: Vec<SourceState>,
    /// From the resolver: the latest [`DagDelivery::sync_nonce`] for which it has looked at every source, to the end;
    /// what it found is in `published` or `sources` by then.
    #[serde(default)]
    pub synced: Option<i64>,
    /// From the resolver: what the live version asks for in the file that the assignment names.
    #[serde(default)]
    pub requirements: Option<RequirementsReport>,
    /// From the resolver: what the live version has in its folder `plugins/`; of an earlier version while it is being read.
    #[serde(default)]
    pub plugins: Option<PluginsReport>,
}

/// The plugins of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginsReport {
    pub version: String,
    /// None: it has no plugins.
    pub digest: Option<String>,
}

/// What a version's requirements file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequirementsReport {
    pub file: RequirementsFile,
    /// A `requirements.txt` as it is; of a `pyproject.toml`, one requirement a line. At most [`LONGEST_REQUIREMENTS`].
    pub text: String,
    /// Why there is nothing to be read; at most 500 characters.
    pub trouble: Option<String>,
}

/// In characters.
pub const LONGEST_REQUIREMENTS: usize = 65_536;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedVersion {
    pub digest: String,
    pub at: DateTime<Utc>,
    pub files: u64,
    pub bytes: u64,
    pub sources: Vec<SourceRevision>,
}

/// What one source was when the version was made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceRevision {
    pub folder: String,
    /// A commit, or the digest of a listing or a push.
    pub revision: String,
    pub author: Option<String>,
    pub message: Option<String>,
    /// When it was pushed or committed, as the source says.
    pub pushed_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParsedVersion {
    pub digest: String,
    pub at: DateTime<Utc>,
    pub dags: u32,
    /// At most 50.
    pub import_errors: Vec<ImportError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportError {
    /// Relative to the version's top.
    pub file: String,
    pub line: Option<u32>,
    /// The last lines of the traceback, at most 2,000 characters.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub folder: String,
    /// Why the last good version keeps serving, and what to do; at most 500 characters.
    pub trouble: Option<String>,
}
