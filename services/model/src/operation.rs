//! Operations: one asked-for change with its steps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::NodeId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    Create,
    Start,
    Stop,
    Restart,
    Update,
    Delete,
    /// Start, stop or restart of single services.
    Service,
    /// Every key of the cluster is turned.
    RotateKeys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    Running,
    Succeeded,
    Failed,
    /// A newer change of the same cluster took over.
    Superseded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Pending,
    Running,
    Done,
    Failed,
}

/// One bar of the operation timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Stable within the operation, for example `database` or `scheduler-1/broker`.
    pub id: String,
    /// For people: `Start broker`.
    pub title: String,
    /// The node it happens on; none for the cluster as a whole.
    pub node: Option<NodeId>,
    /// `scheduler-1`, for nesting in the timeline.
    pub node_label: Option<String>,
    pub state: StepState,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// What it waits for, or why it failed and what to do.
    pub detail: Option<String>,
}
