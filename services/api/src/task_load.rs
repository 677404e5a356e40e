//! How many tasks there are, and since when nothing runs, as a scheduler's node tells it: untrusted, like all that a node says.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// At one moment of the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLoad {
    /// Those that have any.
    pub queues: Vec<QueueLoad>,
    pub workers: Vec<WorkerLoad>,
    /// Since when no DAG run and no task was queued or ran, and nothing was waited for; none while something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_since: Option<DateTime<Utc>>,
    /// When the scheduler will begin the next run of a DAG that is not paused; none when it never will by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLoad {
    pub queue: String,
    /// Wait for a worker.
    pub queued: u32,
    pub running: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLoad {
    /// The node's address.
    pub hostname: String,
    pub running: u32,
}
