//! What is to be done. The driver has one arm for each and no choice in any.

use chrono::{DateTime, Utc};
use updraft_model::{Failure, NodeId, NodeRole, Phase, QueueName, Step};

use crate::desired::{EnvironmentStage, KeyStage};
use crate::observed::{Loss, QueueSize};

/// The whole decision on one cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Independent of each other: they may run at once.
    pub actions: Vec<Action>,
    pub phase: Phase,
    /// The operation's timeline; empty without an operation.
    pub steps: Vec<Step>,
    /// Look again then, if nothing wakes the driver before.
    pub wake_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    EnsureSecrets,
    EnsureDatabase,
    EnsureStorage,
    /// Look whether nodes can be started, and make what the cluster's need where they are.
    EnsureNetwork,
    /// Record a node; it is launched by a later plan.
    IntendNode {
        role: NodeRole,
        ordinal: u32,
        /// A worker's.
        queue: Option<QueueName>,
        /// None: the installation's.
        instance_type: Option<String>,
    },
    /// Send the recorded request, again if need be, and record the answer.
    LaunchNode {
        node: NodeId,
    },
    /// Start the same node again.
    StartNode {
        node: NodeId,
    },
    /// Ask its agent to end every service.
    StopNode {
        node: NodeId,
        loss: Option<Loss>,
    },
    /// Have its machine stand still: it has stopped, and is to be kept.
    SwitchOffNode {
        node: NodeId,
    },
    /// Record that its machine stands still, and that it is kept.
    KeepNode {
        node: NodeId,
    },
    /// Record that a kept node is wanted again; a later plan starts it.
    WakeNode {
        node: NodeId,
    },
    TerminateNode {
        node: NodeId,
        loss: Option<Loss>,
    },
    /// Record that it is gone.
    ForgetNode {
        node: NodeId,
        loss: Option<Loss>,
    },
    TerminateOrphan {
        provider_id: String,
    },
    /// Record how many workers a queue is to have from now on.
    SizeQueue {
        size: QueueSize,
    },
    /// Write how far the change of the environment is: nodes are given what that means.
    MoveEnvironment {
        to: EnvironmentStage,
    },
    /// Write how far the turn of the keys is; new ones are made with [`KeyStage::Turned`].
    TurnKeys {
        to: KeyStage,
    },
    DropDatabase,
    RemoveStorage,
    RemoveNetwork,
    RemoveSecrets,
    /// The cluster is no more; ends the operation too.
    MarkDeleted,
    FinishOperation {
        outcome: Outcome,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed(Failure),
}
