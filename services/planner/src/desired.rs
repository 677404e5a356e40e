//! What was asked of a cluster, reduced to what its nodes depend on.

use chrono::{DateTime, Utc};
use updraft_model::{Generation, NodeCounts, OperationKind, Power, Step};

/// The tenant's wish. Configuration is no part of it: it reaches agents through their assignments, and a node that
/// has not taken up its newest assignment is simply not ready.
#[derive(Clone, Debug)]
pub struct Desired {
    pub power: Power,
    pub generation: Generation,
    pub nodes: NodeCounts,
    /// The operation under way, if any.
    pub operation: Option<Operation>,
    /// An operator confirmed that nodes without any record may be terminated. Records precede nodes, so such a node
    /// means that the records are older than the world: a database restored from a backup.
    pub terminate_unrecorded: bool,
}

/// The operation whose timeline and end this plan writes.
#[derive(Clone, Debug)]
pub struct Operation {
    pub kind: OperationKind,
    pub generation: Generation,
    pub created_at: DateTime<Utc>,
    /// As last recorded; their times are kept.
    pub steps: Vec<Step>,
}
