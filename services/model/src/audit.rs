//! The words of the audit log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of what somebody tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    Done,
    /// Updraft said no: rights, rules, or a request that made no sense.
    Refused,
    /// Updraft could not, for reasons of its own.
    Failed,
}

/// Who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditActorKind {
    Person,
    /// A service account.
    Service,
    /// Somebody who runs the installation.
    Operator,
    /// A tenant's identity provider.
    Provider,
    /// A tenant's directory, writing by SCIM with a token for that alone.
    Directory,
    /// Updraft itself.
    System,
    /// Somebody who did not prove who they are; the name is what they claimed.
    Nobody,
}

// === impl AuditActorKind ===

impl AuditActorKind {
    /// As people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service account",
            Self::Operator => "operator",
            Self::Provider => "identity provider",
            Self::Directory => "directory",
            Self::System => "Updraft itself",
            Self::Nobody => "not signed in",
        }
    }
}

// === impl AuditOutcome ===

impl AuditOutcome {
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
