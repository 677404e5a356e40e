//! REST of DAG delivery: credentials, what is live where, versions, pushes and webhooks.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_model::{CredentialConfig, CredentialName, DagFolder, DagHookId, DagSource};
use utoipa::ToSchema;

use crate::agent::{ImportError, SourceRevision};
use crate::rest::EnvironmentView;

// --- credentials ---

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    pub name: CredentialName,
    pub config: CredentialConfig,
    /// Token, private key, secret access key or password; it is never shown again. Left out for an `ssh_key`: a key is
    /// made, and its public half is in the answer. An `aws_role` has none.
    #[schema(format = Password)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// `PUT /credentials/{name}`: another configuration and secret under the same name.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceCredential {
    pub config: CredentialConfig,
    /// As for a new one.
    #[schema(format = Password)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A credential without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    pub name: CredentialName,
    pub config: CredentialConfig,
    /// Of an SSH key: what the git server is to let in, as a line of `authorized_keys`.
    pub public_key: Option<String>,
    /// Of a role: the trust policy that lets Updraft assume it, to paste in its account's IAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_policy: Option<String>,
    /// Of a role: why Updraft could not assume it again, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Names of the clusters that read with it; while there are any it cannot be deleted.
    pub used_by: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

// --- state and versions ---

/// How a cluster's DAGs are now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DagState {
    pub sources: Vec<DagSourceView>,
    /// Digest of what the scheduler node has live; none before the first version.
    pub current: Option<String>,
    /// What is known of it.
    pub live: Option<DagVersionView>,
    /// The version somebody rolled back to: it stays until the sources are followed again.
    pub pinned: Option<String>,
    /// Nodes that have the live version, …
    pub nodes_on_live: u32,
    /// … of the nodes there are.
    pub nodes: u32,
    /// Counts asked-for looks at the sources.
    pub sync: i64,
    /// Up to which of them the sources were looked at; none: nothing was heard of that yet.
    pub synced: Option<i64>,
    /// Where the cluster takes its packages from the DAGs: while nodes do not have what the live version asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DagSourceView {
    pub folder: DagFolder,
    pub source: DagSource,
    /// Why the last good version keeps serving, and what to do.
    pub trouble: Option<String>,
}

/// One immutable snapshot of all sources, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DagVersionView {
    pub digest: String,
    pub published_at: DateTime<Utc>,
    pub files: u64,
    pub bytes: u64,
    /// What each source was when the version was made of it.
    pub sources: Vec<SourceRevision>,
    /// Since when it is, or was last, live on each node.
    pub arrivals: Vec<DagArrival>,
    /// What Airflow recorded of it; none before it was parsed.
    pub parsed: Option<DagParsed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DagArrival {
    /// `worker-2`
    pub node: String,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DagParsed {
    pub at: DateTime<Utc>,
    pub dags: u32,
    pub import_errors: Vec<ImportError>,
}

// --- what is asked for ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// A version's digest, or the beginning of one.
    pub digest: String,
}

/// The sources are looked at now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SyncAsked {
    /// Done when `synced` of `GET /clusters/{id}/dags` is this or more.
    pub sync: i64,
}

/// What a push left behind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pushed {
    pub folder: DagFolder,
    /// SHA-256 of the archive: the source's revision in the version that is made of it.
    pub revision: String,
    pub files: u64,
    /// Unpacked.
    pub bytes: u64,
    pub pushed_at: DateTime<Utc>,
    /// Done when `synced` of `GET /clusters/{id}/dags` is this or more.
    pub sync: i64,
}

// --- webhooks ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutDagHook {
    /// The source whose server calls.
    #[serde(default)]
    pub folder: DagFolder,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DagHookView {
    pub id: DagHookId,
    pub folder: String,
    /// What to enter at the git server.
    pub url: String,
    pub created_at: DateTime<Utc>,
    pub called_at: Option<DateTime<Utc>>,
}

/// A hook with its secret, which is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct DagHookMade {
    #[serde(flatten)]
    pub hook: DagHookView,
    /// GitHub's "Secret", GitLab's "Secret token".
    pub secret: String,
}

// === impl DagVersionView ===

impl DagVersionView {
    /// When it was first live on the last node that has it.
    #[must_use]
    pub fn arrived_at(&self) -> Option<DateTime<Utc>> {
        self.arrivals.iter().map(|arrival| arrival.at).max()
    }

    /// In one sentence: what, by whom, and how far it came.
    #[must_use]
    pub fn receipt(&self, on: u32, nodes: u32) -> String {
        let mut text = self.sources.iter().map(said).collect::<Vec<_>>().join("; ");
        if text.is_empty() {
            text = format!("version {}", short(&self.digest));
        }
        // Writing to a string cannot fail.
        let _ = write!(text, ", on {on}/{nodes} nodes");
        if let Some(at) = self.arrived_at() {
            let _ = write!(text, " at {}", clock(at));
        }
        match &self.parsed {
            None => text.push_str(", not parsed yet"),
            Some(parsed) => {
                let _ = write!(
                    text,
                    ", parsed at {}, {}, {}",
                    clock(parsed.at),
                    counted(parsed.dags, "DAG"),
                    counted(
                        u32::try_from(parsed.import_errors.len()).unwrap_or(u32::MAX),
                        "import error"
                    ),
                );
            }
        }
        text
    }
}

fn said(revision: &SourceRevision) -> String {
    let mut text = match revision.folder.as_str() {
        "" => String::new(),
        folder => format!("{folder}: "),
    };
    text.push_str(&short(&revision.revision));
    if let Some(author) = &revision.author {
        let _ = write!(text, " by {author}");
    }
    if let Some(at) = revision.pushed_at {
        let _ = write!(text, ", pushed at {}", clock(at));
    }
    text
}

/// Enough of a digest or commit to tell it from others.
#[must_use]
pub fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn counted(number: u32, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_says_what_by_whom_where_and_when() {
        let at = |seconds: i64| DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap();
        let version = DagVersionView {
            digest: "ab".repeat(32),
            published_at: at(1),
            files: 3,
            bytes: 10,
            sources: vec![SourceRevision {
                folder: String::new(),
                revision: "3f9ac27bd0e14c5599aa".into(),
                author: Some("Ada".into()),
                message: None,
                pushed_at: Some(at(0)),
            }],
            arrivals: vec![DagArrival {
                node: "worker-1".into(),
                at: at(2),
            }],
            parsed: None,
        };
        assert_eq!(
            version.receipt(1, 3),
            "3f9ac27bd0e1 by Ada, pushed at 2026-09-21 14:13:20Z, on 1/3 nodes at 2026-09-21 14:13:22Z, not parsed yet"
        );
        let parsed = DagVersionView {
            sources: Vec::new(),
            parsed: Some(DagParsed {
                at: at(4),
                dags: 2,
                import_errors: Vec::new(),
            }),
            ..version
        };
        assert!(
            parsed
                .receipt(3, 3)
                .ends_with("parsed at 2026-09-21 14:13:24Z, 2 DAGs, no import errors")
        );
        assert!(
            parsed
                .receipt(3, 3)
                .starts_with("version abababababab, on 3/3 nodes")
        );
    }
}
