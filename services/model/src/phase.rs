//! What a cluster is.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a cluster is, as decided by `planner` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Phase {
    Stopped,
    Starting {
        /// `waiting for worker 2 of 2 to report`
        waiting_for: Option<String>,
    },
    Running,
    /// It was running and still is in part.
    Degraded {
        reasons: Vec<String>,
    },
    Stopping,
    Deleting,
    /// It could not be brought where it was asked to be, and will not get there unaided.
    Failed {
        reason: Failure,
    },
}

/// A typed failure: what happened, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Stable, for programs: `service_cannot_start`.
    pub code: String,
    pub message: String,
    pub remedy: String,
}

// === impl Phase ===

impl Phase {
    /// The word of `product.md`, without its data.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting { .. } => "starting",
            Self::Running => "running",
            Self::Degraded { .. } => "degraded",
            Self::Stopping => "stopping",
            Self::Deleting => "deleting",
            Self::Failed { .. } => "failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
