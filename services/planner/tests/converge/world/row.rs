//! The record of one node.

use chrono::{DateTime, Utc};
use serde_json::Value;
use updraft_model::{Generation, NodeId, NodeRole, QueueName};
use updraft_planner::{LaunchFailure, Loss, NodeState, Report, Switch};
use updraft_provider::{NodeWanted, ProviderId};

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: NodeId,
    pub(crate) role: NodeRole,
    pub(crate) ordinal: u32,
    pub(crate) queue: Option<QueueName>,
    pub(crate) instance_type: Option<String>,
    pub(crate) generation: Generation,
    pub(crate) state: RowState,
    pub(crate) request: Value,
    pub(crate) provider_id: Option<ProviderId>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) launched_at: Option<DateTime<Utc>>,
    pub(crate) stop_asked_at: Option<DateTime<Utc>>,
    pub(crate) switch: Switch,
    pub(crate) gone_at: Option<DateTime<Utc>>,
    pub(crate) loss: Option<Loss>,
    pub(crate) attempts: u32,
    pub(crate) attempted_at: Option<DateTime<Utc>>,
    pub(crate) failure: Option<LaunchFailure>,
    /// Of its assignment; 0: there is none, since what it is made of is not ready.
    pub(crate) version: i64,
    pub(crate) report: Option<Report>,
    pub(crate) reported_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    Intended,
    Launched,
    Kept,
    Terminating,
    Gone,
}

// === impl Row ===

impl Row {
    /// As the cluster was wanted at this generation.
    pub(crate) fn intended(
        wanted: &NodeWanted,
        request: Value,
        generation: Generation,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: wanted.node,
            role: wanted.role,
            ordinal: wanted.ordinal,
            queue: wanted.queue.clone(),
            instance_type: wanted.instance_type.clone(),
            generation,
            state: RowState::Intended,
            request,
            provider_id: None,
            created_at: now,
            launched_at: None,
            stop_asked_at: None,
            switch: Switch {
                works: true,
                ..Switch::default()
            },
            gone_at: None,
            loss: None,
            attempts: 0,
            attempted_at: None,
            failure: None,
            version: 0,
            report: None,
            reported_at: None,
        }
    }

    /// Another assignment than before, if there was one.
    pub(crate) fn assign_anew(&mut self) {
        if self.version > 0 {
            self.version += 1;
        }
    }

    pub(crate) fn node_state(&self) -> NodeState {
        match self.state {
            RowState::Intended => NodeState::Intended {
                attempts: self.attempts,
                attempted_at: self.attempted_at,
                failure: self.failure.clone(),
            },
            RowState::Launched => NodeState::Launched {
                at: self.launched_at.unwrap(),
            },
            RowState::Kept => NodeState::Kept {
                launched_at: self.launched_at,
            },
            RowState::Terminating | RowState::Gone => NodeState::Terminating {
                launched_at: self.launched_at,
            },
        }
    }
}
