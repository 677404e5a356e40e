//! The operation's timeline: the cluster's own steps with those its agents report.
//!
//! Agents are believed about their own node only: whatever node or label their steps name, the record's is written.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use updraft_model::{OperationKind, Power, Step, StepState};

use crate::desired::{Desired, Operation};
use crate::keys;
use crate::nodes::{ROLES, is_to_be_kept, kept, places, rests};
use crate::observed::{LateFailures, Node, NodeState, Observed, Resource};
use crate::phase::is_ready;

mod environment_steps;
mod key_steps;

/// More than an honest agent has.
const STEPS_PER_NODE: usize = 40;

/// A step before it has its times.
struct Draft {
    id: String,
    title: String,
    node: Option<(updraft_model::NodeId, String)>,
    state: StepState,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    detail: Option<String>,
}

/// The whole timeline anew; times once written stay.
pub(crate) fn compose(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Vec<Step> {
    let Some(operation) = &desired.operation else {
        return Vec::new();
    };
    let mut drafts = Vec::new();
    drafts.extend(key_steps::drafts(desired, observed, operation));
    if desired.power == Power::Running && !keys::ends_nodes(desired) {
        drafts.extend(resources(desired, operation, observed));
        drafts.extend(environment_steps::drafts(desired, observed, operation));
        drafts.extend(places(desired, observed).flat_map(|place| {
            let late = place.late_failures(desired, observed);
            of_place(operation, &place.label(), place.node, late)
        }));
    }
    drafts.extend(endings(desired, observed, operation));
    if desired.power == Power::Deleted {
        drafts.extend(removals(desired, observed, operation));
    }
    let mut seen = HashSet::new();
    drafts.retain(|draft| seen.insert(draft.id.clone()));
    drafts
        .into_iter()
        .map(|draft| draft.with_times(operation, now))
        .collect()
}

/// Database, storage and network, unless they were there before this operation.
fn resources(desired: &Desired, operation: &Operation, observed: &Observed) -> Vec<Draft> {
    let draft = |id: &str, title: &str, resource: &Resource| match resource {
        Resource::Ready { since } if *since < operation.created_at => None,
        Resource::Ready { since } => Some(Draft {
            finished_at: Some(*since),
            ..Draft::new(id, title, StepState::Done)
        }),
        Resource::Absent => Some(Draft::new(id, title, StepState::Running)),
        Resource::Intended { failure, .. } => Some(Draft {
            detail: failure.clone(),
            ..Draft::new(id, title, StepState::Running)
        }),
    };
    // The tenant's own is looked at by nodes, as a step of theirs.
    let database = draft("database", "Create the metadata database", &observed.database);
    let database = database.filter(|_| !desired.brings_database);
    let storage = draft("storage", "Create the bucket", &observed.storage);
    let network = observed.network.as_ref();
    let network = network.and_then(|network| draft("network", "Look at the network", network));
    // Another password for it is no other database.
    let database = database.filter(|_| operation.kind != OperationKind::RotateKeys);
    database.into_iter().chain(storage).chain(network).collect()
}

fn of_place(
    operation: &Operation,
    label: &str,
    node: Option<&Node>,
    late: Option<&LateFailures>,
) -> Vec<Draft> {
    let ready = Draft::new(
        &format!("{label}/ready"),
        &format!("{label} is ready"),
        StepState::Pending,
    );
    let Some(node) = node else {
        // Another is made after a pause: people see meanwhile what is waited for.
        let state = match late {
            Some(_) => StepState::Running,
            None => StepState::Pending,
        };
        let launch = Draft {
            detail: late.map(|late| late.failure.message.clone()),
            ..Draft::new(&format!("{label}/launch"), &format!("Launch {label}"), state)
        };
        return vec![launch, ready];
    };
    let launch = (node.created_at >= operation.created_at).then(|| launch(node));
    let report = launch.as_ref().map(|_| first_report(node));
    let is_ready = is_ready(node);
    let ready_state = match (is_ready, node.is_launched()) {
        (true, _) => StepState::Done,
        (false, true) => StepState::Running,
        (false, false) => StepState::Pending,
    };
    let ready = Draft {
        state: ready_state,
        ..ready
    }
    .on(node);
    launch
        .into_iter()
        .chain(report)
        .chain(reported(operation, node))
        .chain([ready])
        .collect()
}

fn launch(node: &Node) -> Draft {
    let label = node.label();
    let draft = Draft::new(
        &format!("{label}/launch"),
        &format!("Launch {label}"),
        StepState::Running,
    );
    let draft = Draft {
        started_at: Some(node.created_at),
        ..draft
    }
    .on(node);
    match &node.state {
        NodeState::Intended { failure, .. } => Draft {
            detail: failure.as_ref().map(|f| f.message.clone()),
            ..draft
        },
        NodeState::Launched { at }
        | NodeState::Terminating {
            launched_at: Some(at),
        } => Draft {
            state: StepState::Done,
            finished_at: Some(*at),
            ..draft
        },
        NodeState::Kept { launched_at } => Draft {
            state: StepState::Done,
            finished_at: *launched_at,
            ..draft
        },
        NodeState::Terminating { launched_at: None } => draft,
    }
}

fn first_report(node: &Node) -> Draft {
    let state = match (node.is_launched(), &node.report) {
        (_, Some(_)) => StepState::Done,
        (true, None) => StepState::Running,
        (false, None) => StepState::Pending,
    };
    Draft::new(&format!("{}/report", node.label()), "Connect to control", state).on(node)
}

/// What the agent reports of its newest assignment.
fn reported(operation: &Operation, node: &Node) -> Vec<Draft> {
    let current = node.report.as_ref().filter(|_| node.is_settled());
    let steps = current.map(|report| report.steps.as_slice()).unwrap_or_default();
    let belongs = |step: &&Step| step.finished_at.is_none_or(|at| at >= operation.created_at);
    steps
        .iter()
        .filter(belongs)
        .take(STEPS_PER_NODE)
        .map(|step| Draft::reported(node, step))
        .collect()
}

/// Nodes that go: those that still do, and those an earlier look saw going.
fn endings(desired: &Desired, observed: &Observed, operation: &Operation) -> Vec<Draft> {
    let desired = &*keys::of_nodes(desired);
    let kept = kept(desired, observed);
    // What rests since before is no part of a change of something else.
    let is_stop = operation.kind == OperationKind::Stop;
    let going = observed
        .nodes
        .iter()
        .filter(|node| !kept.contains(&node.id) && (is_stop || !rests(desired, node)));
    let mut nodes: Vec<&Node> = going.collect();
    nodes.sort_by_key(|node| {
        (
            ROLES.iter().rev().position(|role| *role == node.role),
            node.ordinal,
        )
    });
    let now_going = nodes.into_iter().flat_map(|node| ending(desired, node));
    let is_ending = |step: &&Step| step.id.ends_with("/stop") || step.id.ends_with("/terminate");
    let is_there = |step: &Step| observed.nodes.iter().any(|node| Some(node.id) == step.node);
    let gone = operation
        .steps
        .iter()
        .filter(is_ending)
        .filter(|step| !is_there(step))
        .map(Draft::finished);
    gone.chain(now_going).collect()
}

fn ending(desired: &Desired, node: &Node) -> [Draft; 2] {
    let label = node.label();
    let keeps = is_to_be_kept(desired, node) && !matches!(node.state, NodeState::Terminating { .. });
    let (stop, end) = match (&node.state, node.stop_asked_at) {
        (NodeState::Kept { .. }, _) if keeps => (StepState::Done, StepState::Done),
        (NodeState::Kept { .. } | NodeState::Terminating { .. }, _) => (StepState::Done, StepState::Running),
        (NodeState::Launched { .. }, Some(_)) if keeps && node.has_stopped() => {
            (StepState::Done, StepState::Running)
        }
        (NodeState::Intended { .. } | NodeState::Launched { .. }, Some(_)) => {
            (StepState::Running, StepState::Pending)
        }
        (NodeState::Intended { .. } | NodeState::Launched { .. }, None) => {
            (StepState::Pending, StepState::Pending)
        }
    };
    let stopping = Draft::new(
        &format!("{label}/stop"),
        &format!("Stop {label}'s services"),
        stop,
    )
    .on(node);
    [
        Draft {
            started_at: node.stop_asked_at,
            ..stopping
        },
        match keeps {
            true => Draft::new(&format!("{label}/keep"), &format!("Switch {label} off"), end).on(node),
            false => Draft::new(&format!("{label}/terminate"), &format!("End {label}"), end).on(node),
        },
    ]
}

fn removals(desired: &Desired, observed: &Observed, operation: &Operation) -> Vec<Draft> {
    let draft = |id: &str, title: &str, resource: &Resource| {
        let begun = operation
            .steps
            .iter()
            .any(|step| step.id == id && step.state != StepState::Pending);
        let state = match resource {
            Resource::Absent => StepState::Done,
            Resource::Intended { .. } | Resource::Ready { .. } if observed.nodes.is_empty() || begun => {
                StepState::Running
            }
            Resource::Intended { .. } | Resource::Ready { .. } => StepState::Pending,
        };
        let detail = match resource {
            Resource::Intended { failure, .. } => failure.clone(),
            Resource::Absent | Resource::Ready { .. } => None,
        };
        Draft {
            detail,
            ..Draft::new(id, title, state)
        }
    };
    let database = match desired.brings_database {
        true => "Leave your metadata database as it is",
        false => "Delete the metadata database",
    };
    let mut drafts = vec![
        draft("drop-database", database, &observed.database),
        draft("remove-storage", "Delete the storage", &observed.storage),
        draft("remove-secrets", "Destroy the secrets", &observed.secrets),
    ];
    if let Some(network) = &observed.network {
        drafts.insert(2, draft("remove-network", "Delete the network", network));
    }
    drafts
}

// === impl Draft ===

impl Draft {
    fn new(id: &str, title: &str, state: StepState) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            node: None,
            state,
            started_at: None,
            finished_at: None,
            detail: None,
        }
    }

    fn on(self, node: &Node) -> Self {
        Self {
            node: Some((node.id, node.label())),
            ..self
        }
    }

    fn reported(node: &Node, step: &Step) -> Self {
        let label = node.label();
        let name = step.id.strip_prefix(&format!("{label}/")).unwrap_or(&step.id);
        Self {
            started_at: step.started_at,
            finished_at: step.finished_at,
            detail: step.detail.clone(),
            ..Self::new(&format!("{label}/{name}"), &step.title, step.state).on(node)
        }
    }

    /// A step of a node that is gone meanwhile.
    fn finished(step: &Step) -> Self {
        Self {
            id: step.id.clone(),
            title: step.title.clone(),
            node: step.node.zip(step.node_label.clone()),
            state: StepState::Done,
            started_at: step.started_at,
            finished_at: step.finished_at,
            detail: None,
        }
    }

    /// Times once recorded stay while the step goes forward; the record of another node's step is another step.
    fn with_times(self, operation: &Operation, now: DateTime<Utc>) -> Step {
        let node = self.node.as_ref().map(|(id, _)| *id);
        let before = operation
            .steps
            .iter()
            .find(|step| step.id == self.id && (step.node.is_none() || step.node == node));
        let clamp = |at: DateTime<Utc>| at.clamp(operation.created_at.min(now), now);
        let begun = self.state != StepState::Pending;
        let started_at = before
            .and_then(|step| step.started_at)
            .or_else(|| self.started_at.map(clamp))
            .or_else(|| begun.then(|| self.finished_at.map_or(now, clamp)));
        let over = matches!(self.state, StepState::Done | StepState::Failed);
        let finished_at = over.then(|| {
            let recorded = before
                .filter(|step| step.state == self.state)
                .and_then(|step| step.finished_at);
            recorded.or_else(|| self.finished_at.map(clamp)).unwrap_or(now)
        });
        Step {
            id: self.id,
            title: self.title,
            node,
            node_label: self.node.map(|(_, label)| label),
            state: self.state,
            started_at: started_at
                .filter(|_| begun)
                .map(|at| finished_at.map_or(at, |end| at.min(end))),
            finished_at,
            detail: self.detail,
        }
    }
}
