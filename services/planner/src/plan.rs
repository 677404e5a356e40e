//! The decision itself, put together from its parts.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{Phase, Power};

use crate::action::{Action, Outcome, Plan};
use crate::desired::{Desired, EnvironmentChange};
use crate::failure::{hopeless, of_database};
use crate::observed::{Node, Observed, Resource};
use crate::phase::{is_complete, phase};
use crate::{environment, keys, limits, network, nodes, scaling, steps};

/// What to do about one cluster now. Pure and total: the same arguments give the same plan, and every combination of
/// wish and observation has one.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Plan {
    let sizes = scaling::changes(desired, observed, now);
    let observed = &scaling::with(observed, &sizes);
    let for_nodes = &keys::of_nodes(desired);
    let mut actions = resource_actions(desired, observed, now);
    actions.extend(nodes::actions(for_nodes, observed, now));
    actions.extend(sizes.into_iter().map(|size| Action::SizeQueue { size }));
    actions.extend(environment::action(for_nodes, observed, now));
    actions.extend(keys::action(desired, observed, now));
    actions.extend(end(desired, observed, now));
    let phase = phase(desired, observed, now);
    let steps = steps::compose(desired, observed, now);
    let later = now + pause(desired, observed, &phase);
    let wake_at = scaling::next_change(desired, observed)
        .map_or(later, |at| later.min(at.max(now + limits::LOOK_CHANGING)));
    Plan {
        actions,
        phase,
        steps,
        wake_at,
    }
}

fn resource_actions(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Vec<Action> {
    let turns_database = keys::turns_database(desired, observed) && is_due(&observed.database, now);
    match desired.power {
        Power::Running | Power::Stopped if keys::ends_nodes(desired) => turns_database
            .then_some(Action::EnsureDatabase)
            .into_iter()
            .collect(),
        Power::Running => [
            (&observed.secrets, Action::EnsureSecrets),
            (&observed.database, Action::EnsureDatabase),
            (&observed.storage, Action::EnsureStorage),
        ]
        .into_iter()
        .filter(|(resource, _)| is_due(resource, now))
        .map(|(_, action)| action)
        .chain(network::is_due(desired, observed, now).then_some(Action::EnsureNetwork))
        .collect(),
        Power::Stopped => Vec::new(),
        Power::Deleted if !observed.nodes.is_empty() => Vec::new(),
        Power::Deleted => removals(observed, now),
    }
}

/// Secrets go last: they are what the others are removed with.
fn removals(observed: &Observed, now: DateTime<Utc>) -> Vec<Action> {
    let outer = [
        (&observed.database, Action::DropDatabase),
        (&observed.storage, Action::RemoveStorage),
    ];
    let network = observed
        .network
        .iter()
        .map(|network| (network, Action::RemoveNetwork));
    let outer: Vec<_> = outer.into_iter().chain(network).collect();
    if outer.iter().all(|(resource, _)| **resource == Resource::Absent) {
        let left = observed.secrets != Resource::Absent;
        return left.then_some(Action::RemoveSecrets).into_iter().collect();
    }
    outer
        .into_iter()
        .filter(|(resource, _)| {
            **resource != Resource::Absent && (resource.is_ready() || is_due(resource, now))
        })
        .map(|(_, action)| action)
        .collect()
}

pub(crate) fn is_due(resource: &Resource, now: DateTime<Utc>) -> bool {
    match resource {
        Resource::Absent | Resource::Intended { failure: None, .. } => true,
        Resource::Intended {
            attempts,
            attempted_at,
            failure: Some(_),
            refused: _,
        } => *attempted_at + limits::pause_after(*attempts) <= now,
        Resource::Ready { .. } => false,
    }
}

/// What ends the operation, or the cluster.
fn end(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Option<Action> {
    let empty = observed.nodes.is_empty();
    if desired.power == Power::Deleted {
        let resources = [&observed.secrets, &observed.database, &observed.storage];
        let mut resources = resources.into_iter().chain(&observed.network);
        let bare = empty && resources.all(|resource| *resource == Resource::Absent);
        return bare.then_some(Action::MarkDeleted);
    }
    desired.operation.as_ref()?;
    let reached = match desired.power {
        Power::Running => is_complete(desired, observed) && !waits_for_surplus(desired, observed, now),
        Power::Stopped => observed.nodes.iter().all(|node| nodes::rests(desired, node)),
        Power::Deleted => empty,
    };
    if keys::ends_nodes(desired) {
        let failure = of_database(observed).filter(|_| keys::turns_database(desired, observed));
        return failure.map(|failure| Action::FinishOperation {
            outcome: Outcome::Failed(failure),
        });
    }
    let abandoned = environment::abandoned(desired)
        .or_else(|| keys::failure(desired))
        .filter(|_| desired.power == Power::Running);
    let outcome = match desired.power {
        Power::Running if is_rolling_out(desired) => None,
        Power::Running if reached && abandoned.is_some() => abandoned.cloned().map(Outcome::Failed),
        Power::Running if reached => (!environment::is_under_way(desired)).then_some(Outcome::Succeeded),
        Power::Stopped | Power::Deleted if reached => Some(Outcome::Succeeded),
        Power::Running => hopeless(desired, observed, now)
            .filter(|_| !is_complete(desired, observed))
            .map(|failure| Outcome::Failed(abandoned.cloned().unwrap_or(failure))),
        Power::Stopped | Power::Deleted => None,
    };
    outcome.map(|outcome| Action::FinishOperation { outcome })
}

/// Nodes are on their way to another environment, and back from it where it does not work: nothing has failed yet.
fn is_rolling_out(desired: &Desired) -> bool {
    matches!(
        desired.environment,
        EnvironmentChange::Workers { .. } | EnvironmentChange::All { .. }
    )
}

/// Nodes that serve no place and do not rest.
fn surplus<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = &'a Node> {
    let kept = nodes::kept(desired, observed);
    let others = observed.nodes.iter().filter(move |node| !kept.contains(&node.id));
    others.filter(|node| !nodes::rests(desired, node))
}

/// Tasks may take a day, and much waits for an operation's end: it is done when nothing is left to do but to wait for them.
fn waits_for_surplus(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> bool {
    let operation = desired.operation.as_ref();
    let waited = operation.is_some_and(|operation| operation.created_at + limits::OPERATION_FOR_DRAIN <= now);
    surplus(desired, observed).any(|node| !(waited && nodes::finishes_tasks(node)))
}

fn pause(desired: &Desired, observed: &Observed, phase: &Phase) -> TimeDelta {
    let steady = desired.operation.is_none()
        && surplus(desired, observed).all(nodes::finishes_tasks)
        && observed.orphans.is_empty()
        && !keys::is_under_way(desired);
    let drains = surplus(desired, observed).next().is_some();
    match phase {
        Phase::Stopped if steady && !drains => limits::LOOK_EMPTY,
        Phase::Running if steady && drains => limits::LOOK_DRAINING,
        Phase::Running if steady => limits::LOOK_STEADY,
        Phase::Stopped
        | Phase::Running
        | Phase::Starting { .. }
        | Phase::Degraded { .. }
        | Phase::Stopping
        | Phase::Deleting
        | Phase::Failed { .. } => limits::LOOK_CHANGING,
    }
}
