//! What was asked of a cluster, reduced to what its nodes depend on.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{Failure, Generation, OnStop, OperationKind, Power, Step, WorkerQueue};

/// The tenant's wish. Configuration is no part of it: it reaches agents through their assignments, and a node that
/// has not taken up its newest assignment is simply not ready.
#[derive(Clone, Debug)]
pub struct Desired {
    pub power: Power,
    pub generation: Generation,
    /// What becomes of its nodes' machines while it is stopped.
    pub on_stop: OnStop,
    /// Whose workers there are to be, `default` first. Scheduler and web are one node each.
    pub queues: Vec<WorkerQueue>,
    /// How far a change of the environment is; `queues` are those of what nodes are given now.
    pub environment: EnvironmentChange,
    /// How far a turn of the cluster's keys is.
    pub keys: KeyTurn,
    /// The operation under way, if any.
    pub operation: Option<Operation>,
    /// An operator confirmed that nodes without any record may be terminated. Records precede nodes, so such a node
    /// means that the records are older than the world: a database restored from a backup.
    pub terminate_unrecorded: bool,
    /// Its metadata database is the tenant's own: nobody makes or deletes it.
    pub brings_database: bool,
    /// How long a queue that scales by itself needs fewer workers before some go.
    pub scale_in_after: TimeDelta,
}

/// What nodes are given while another environment is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentChange {
    /// What is wanted.
    Settled,
    /// What they had: the wanted one is being built.
    Building,
    /// Workers what is wanted, all others what they had.
    Workers { since: DateTime<Utc> },
    /// What is wanted; that it works is not proven yet.
    All { since: DateTime<Utc> },
    /// What they had: the wanted one was refused or did not work.
    Abandoned { failure: Failure, at: DateTime<Utc> },
}

/// Where a change of the environment goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentStage {
    Workers,
    All,
    Settled,
    Abandoned(Failure),
}

/// Which keys a cluster has while others are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTurn {
    /// The ones that are wanted.
    Settled,
    /// The old ones, until its last node is gone.
    Draining,
    /// New ones; the database still has the old password.
    Turned,
    /// New ones. What Airflow keeps encrypted is about to be written anew; until then nothing runs that reads it.
    Reencrypting { since: DateTime<Utc> },
    /// New ones. That did not work: it is read with the old Fernet key too.
    Both { failure: Failure, at: DateTime<Utc> },
}

/// Where a turn of the keys goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStage {
    Turned,
    Reencrypting,
    Both(Failure),
    Settled,
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

// === impl Desired ===

impl Desired {
    /// Whether the operation under way was asked for after that: what an earlier one met with is none of this one's.
    pub(crate) fn is_of_before(&self, at: DateTime<Utc>) -> bool {
        self.operation
            .as_ref()
            .is_some_and(|operation| at < operation.created_at)
    }
}

// === impl KeyTurn ===

impl KeyTurn {
    /// Whether nodes go, and none comes, though the cluster may be wanted.
    pub(crate) fn ends_nodes(&self) -> bool {
        matches!(self, Self::Draining | Self::Turned)
    }
}
