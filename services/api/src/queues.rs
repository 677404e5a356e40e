//! A cluster's queues as they are now.

use serde::{Deserialize, Serialize};
use updraft_model::QueueName;
use utoipa::ToSchema;

/// One queue and its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    pub name: QueueName,
    /// Workers it is to have now: where it scales by itself, what its tasks need.
    pub workers_wanted: u32,
    pub workers_ready: u32,
    pub min: u32,
    pub max: u32,
}
