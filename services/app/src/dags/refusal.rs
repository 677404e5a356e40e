//! Why something around DAGs is not done, as clients see it.

use thiserror::Error;
use updraft_api::Problem;

use crate::error::{problem, sentence};

#[derive(Debug, Error)]
pub enum DagRefusal {
    #[error("the tenant has a credential named `{name}`")]
    CredentialNameTaken { name: String },
    #[error("the credential `{name}` is in use")]
    CredentialInUse { name: String, clusters: Vec<String> },
    /// It has had no bucket yet.
    #[error("the cluster was never started")]
    NeverStarted,
    #[error("the archive is refused: {why}")]
    Archive { why: String },
    #[error("the archive is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("as many pushes as can be served are under way")]
    ManyPushes,
    #[error("object storage did not take the push")]
    StorageAway,
    #[error("the call of a hook proves nothing")]
    Hook,
}

// === impl DagRefusal ===

impl From<&DagRefusal> for Problem {
    fn from(refusal: &DagRefusal) -> Self {
        use DagRefusal as R;
        match refusal {
            R::CredentialNameTaken { name } => Self {
                field: Some("name".to_owned()),
                ..problem(
                    409,
                    "credential-name-taken",
                    format!("Your organisation already has a credential named `{name}`."),
                    "Choose another name, or replace that one: `updraft credential replace`.",
                )
            },
            R::CredentialInUse { name, clusters } => problem(
                409,
                "credential-in-use",
                format!("`{name}` is what {} with.", readers(clusters)),
                "Give them another credential first; to change the secret alone, replace it.",
            ),
            R::NeverStarted => problem(
                409,
                "cluster-never-started",
                "The cluster has no bucket yet: it gets one when it is started.",
                "Start the cluster and push again.",
            ),
            R::Archive { why } => Self {
                field: Some("body".to_owned()),
                ..problem(
                    422,
                    "archive-refused",
                    "The archive cannot be taken.",
                    sentence(why),
                )
            },
            R::TooLarge { limit } => problem(
                413,
                "body-too-large",
                "The archive is too large.",
                format!(
                    "Push at most {} MiB, packed; keep data out of the DAGs.",
                    limit >> 20
                ),
            ),
            R::ManyPushes => problem(
                503,
                "busy",
                "As many pushes as can be served are under way.",
                "Try again in a moment.",
            ),
            R::StorageAway => problem(
                503,
                "storage-away",
                "The cluster's bucket did not take the push, and nothing has changed.",
                "Try again in a moment.",
            ),
            R::Hook => problem(
                403,
                "hook-refused",
                "There is no such webhook, or this call is not signed with its secret.",
                "Compare address and secret with those that `updraft dags hook create` showed.",
            ),
        }
    }
}

fn readers(clusters: &[String]) -> String {
    match clusters {
        [one] => format!("the cluster `{one}` reads"),
        many => format!("the clusters `{}` read", many.join("`, `")),
    }
}
