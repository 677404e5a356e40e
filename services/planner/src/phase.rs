//! What the cluster is. Decided here alone.

use chrono::{DateTime, Utc};
use updraft_model::{AgentPhase, OperationKind, Phase, Power, ServiceState};

use crate::desired::{Desired, KeyTurn};
use crate::failure::{because, cannot_start, hopeless, is_optional};
use crate::nodes::{Place, places, rests};
use crate::observed::{Node, NodeState, Observed, ProviderView, Resource};
use crate::scaling::scales;
use crate::{keys, limits};

pub(crate) fn phase(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Phase {
    match desired.power {
        Power::Deleted => Phase::Deleting,
        Power::Stopped if observed.nodes.iter().all(|node| rests(desired, node)) => Phase::Stopped,
        Power::Stopped => Phase::Stopping,
        // What is left of it serves nobody any more, or not for long.
        Power::Running if keys::ends_nodes(desired) && !observed.nodes.is_empty() => Phase::Stopping,
        Power::Running => running_phase(desired, observed, now),
    }
}

/// Whether everything asked for works, optional services aside.
pub(crate) fn is_complete(desired: &Desired, observed: &Observed) -> bool {
    desired.power == Power::Running
        && !keys::is_under_way(desired)
        && observed.secrets.is_ready()
        && observed.database.is_ready()
        && observed.storage.is_ready()
        && observed.network.as_ref().is_none_or(Resource::is_ready)
        && places(desired, observed).all(|place| place.node.is_some_and(is_ready))
}

/// Whether the node runs what its newest assignment says.
pub(crate) fn is_ready(node: &Node) -> bool {
    node.is_settled() && works(node)
}

/// Whether the node runs what some assignment said: a newer one may be on its way. A service that cannot start is no bar
/// if the cluster does its work without it.
fn works(node: &Node) -> bool {
    let there = node.provider.runs() || node.provider == ProviderView::Unknown;
    let works = node.report.as_ref().is_some_and(|report| match report.phase {
        AgentPhase::Running => true,
        AgentPhase::Degraded => report.services.iter().all(|service| {
            is_optional(service.name)
                || matches!(service.state, ServiceState::Healthy | ServiceState::Stopped)
        }),
        AgentPhase::Preparing | AgentPhase::Starting | AgentPhase::Stopping | AgentPhase::Stopped => false,
    });
    node.is_launched() && there && works && node.silence < limits::SILENT
}

fn running_phase(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Phase {
    if is_complete(desired, observed) {
        let reasons = blemishes(desired, observed);
        return if reasons.is_empty() {
            Phase::Running
        } else {
            Phase::Degraded { reasons }
        };
    }
    let failure = hopeless(desired, observed, now);
    let serves = places(desired, observed).any(|place| place.node.is_some_and(works));
    let was_up = matches!(observed.phase, Phase::Running | Phase::Degraded { .. });
    let waiting_for = missing(desired, observed).into_iter().next();
    match failure {
        Some(reason) if !(was_up && serves) => Phase::Failed { reason },
        Some(reason) => degraded(reason.message, desired, observed),
        None if is_change_in_place(desired) && was_up && serves => Phase::Running,
        None if was_up && serves && lacks_only_what_scales(desired, observed) => Phase::Running,
        None if was_up && serves && !is_start(desired) => Phase::Degraded {
            reasons: reasons(desired, observed),
        },
        None => Phase::Starting { waiting_for },
    }
}

fn degraded(first: String, desired: &Desired, observed: &Observed) -> Phase {
    let mut reasons = reasons(desired, observed);
    reasons.retain(|reason| *reason != first);
    reasons.insert(0, first);
    Phase::Degraded { reasons }
}

/// A change that people asked for and that goes on beside what runs is no degradation.
fn is_change_in_place(desired: &Desired) -> bool {
    desired
        .operation
        .as_ref()
        .is_some_and(|op| matches!(op.kind, OperationKind::Update | OperationKind::Service))
}

/// Workers that a queue brings by itself are on their way: that is how it is meant.
fn lacks_only_what_scales(desired: &Desired, observed: &Observed) -> bool {
    let is_new = |node: &Node| {
        node.report
            .as_ref()
            .is_none_or(|report| matches!(report.phase, AgentPhase::Preparing | AgentPhase::Starting))
    };
    let lacking = places(desired, observed).filter(|place| !place.node.is_some_and(is_ready));
    let mut comes = lacking.map(|place| place.queue.is_some_and(scales) && place.node.is_none_or(is_new));
    comes.all(|comes| comes)
}

fn is_start(desired: &Desired) -> bool {
    desired.operation.as_ref().is_some_and(|op| {
        matches!(
            op.kind,
            OperationKind::Create | OperationKind::Start | OperationKind::Restart | OperationKind::RotateKeys
        )
    })
}

fn reasons(desired: &Desired, observed: &Observed) -> Vec<String> {
    missing(desired, observed)
        .into_iter()
        .chain(blemishes(desired, observed))
        .collect()
}

/// What still lacks, in the words that follow `waiting for`.
fn missing(desired: &Desired, observed: &Observed) -> Vec<String> {
    let resource = |resource: &Resource, name: &str| match resource {
        Resource::Ready { .. } => None,
        Resource::Intended {
            failure: Some(why), ..
        } => Some(format!("{name}: {why}")),
        Resource::Absent | Resource::Intended { .. } => Some(name.to_owned()),
    };
    let resources = [
        resource(&observed.database, "the database"),
        resource(&observed.storage, "the storage"),
        observed
            .network
            .as_ref()
            .and_then(|network| resource(network, "the network")),
    ];
    let nodes = places(desired, observed).filter_map(|place| {
        let words = place_words(desired, &place);
        match place.node {
            None => Some(match place.late_failures(desired, observed) {
                Some(late) => format!("{words} to be launched: {}", late.failure.message),
                None => format!("{words} to be launched"),
            }),
            Some(node) => lacking(node, &words),
        }
    });
    let unread = matches!(desired.keys, KeyTurn::Reencrypting { .. })
        .then(|| "connections and variables to be encrypted anew".to_owned());
    resources
        .into_iter()
        .flatten()
        .chain(nodes)
        .chain(unread)
        .collect()
}

fn lacking(node: &Node, place: &str) -> Option<String> {
    if is_ready(node) {
        return None;
    }
    if matches!(node.provider, ProviderView::Gone | ProviderView::Ending) {
        return Some(format!("{place} to be replaced"));
    }
    Some(match (&node.state, &node.report) {
        (
            NodeState::Intended {
                failure: Some(failure),
                ..
            },
            _,
        ) => format!("{place} to be launched: {}", failure.message),
        (NodeState::Intended { .. } | NodeState::Terminating { .. }, _) => format!("{place} to be launched"),
        (NodeState::Kept { .. }, _) => format!("{place} to be started"),
        (NodeState::Launched { .. }, None) => format!("{place} to report"),
        (NodeState::Launched { .. }, Some(_)) if node.silence >= limits::QUIET => {
            format!("{place} to answer (silent for {} s)", node.silence.num_seconds())
        }
        (NodeState::Launched { .. }, Some(report)) => {
            let unhealthy = report.services.iter().find(|s| {
                !is_optional(s.name) && !matches!(s.state, ServiceState::Healthy | ServiceState::Stopped)
            });
            match (report.phase, unhealthy) {
                (AgentPhase::Preparing, _) if report.script_failure.is_some() => {
                    format!("the bootstrap script on {place}, which fails")
                }
                (AgentPhase::Preparing, _) if report.metadata_failure.is_some() => {
                    format!("your metadata database, which {place} cannot use")
                }
                (AgentPhase::Preparing, _) => format!("{place} to prepare its environment"),
                (_, Some(service)) => format!("{} on {place}{}", service.name, because(service)),
                (_, None) => format!("{place} to take up its assignment"),
            }
        }
    })
}

/// What is wrong although the cluster does its work.
fn blemishes(desired: &Desired, observed: &Observed) -> Vec<String> {
    places(desired, observed)
        .filter_map(|place| place.node)
        .flat_map(|node| {
            let optional = cannot_start(node)
                .filter(|service| is_optional(service.name))
                .map(|service| {
                    format!(
                        "{} cannot start on {}{}",
                        service.name,
                        node.label(),
                        because(service)
                    )
                });
            let quiet = (node.report.is_some() && node.silence >= limits::QUIET).then(|| {
                format!(
                    "{} has not reported for {} s",
                    node.label(),
                    node.silence.num_seconds()
                )
            });
            optional
                .chain(quiet.filter(|_| is_ready(node)))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// `worker 2 of 2`, `the scheduler node`, ``worker-3 of the queue `heavy` ``
fn place_words(desired: &Desired, place: &Place<'_>) -> String {
    let (role, ordinal) = (place.role, place.ordinal);
    match (place.queue, desired.queues.as_slice()) {
        (None, _) => format!("the {role} node"),
        (Some(_), [only]) if only.max <= 1 => format!("the {role} node"),
        (Some(_), [only]) if ordinal <= only.max => format!("{role} {ordinal} of {}", only.max),
        (Some(queue), _) => format!("{} of the queue `{}`", place.label(), queue.name),
    }
}
