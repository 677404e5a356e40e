//! How many tasks there are, as a scheduler's node tells it: untrusted, like all that a node says.

use serde::{Deserialize, Serialize};

/// At one moment of the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLoad {
    /// Those that have any.
    pub queues: Vec<QueueLoad>,
    pub workers: Vec<WorkerLoad>,
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
