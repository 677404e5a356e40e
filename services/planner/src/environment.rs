//! When a cluster's nodes are given another environment or another bootstrap script.
//!
//! Packages are built and checked, a script is tried first, and nothing that runs changes meanwhile. Then workers are given it, which drain as for
//! a restart; when they work with it all other nodes are; and when one cannot start with it, everything goes back to
//! what it had. A cluster without nodes builds nothing: its next start does.

use chrono::{DateTime, Utc};
use updraft_model::{Failure, NodeRole, Power};

use crate::action::Action;
use crate::desired::{Desired, EnvironmentChange, EnvironmentStage};
use crate::failure::node_failure;
use crate::limits;
use crate::nodes::places;
use crate::observed::{BuildOutcome, Observed};
use crate::phase::{is_complete, is_ready};

/// The change's next stage, when it is time for it.
pub(crate) fn action(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Option<Action> {
    if desired.power != Power::Running {
        return None;
    }
    let to = match &desired.environment {
        EnvironmentChange::Settled | EnvironmentChange::Abandoned { .. } => None,
        EnvironmentChange::Building => built(observed, now),
        EnvironmentChange::Workers { since } => {
            let ready = workers_are_ready(desired, observed);
            let failure = failure_on(observed, |role| role == NodeRole::Worker);
            widened(
                ready,
                EnvironmentStage::All,
                failure,
                is_overdue(desired, *since, now),
            )
        }
        EnvironmentChange::All { since } => {
            let ready = is_complete(desired, observed);
            let failure = failure_on(observed, |_| true);
            widened(
                ready,
                EnvironmentStage::Settled,
                failure,
                is_overdue(desired, *since, now),
            )
        }
    };
    to.map(|to| Action::MoveEnvironment { to })
}

/// Whether a change is under way that ends by itself: an operation waits for it.
pub(crate) fn is_under_way(desired: &Desired) -> bool {
    match desired.environment {
        EnvironmentChange::Building | EnvironmentChange::Workers { .. } | EnvironmentChange::All { .. } => {
            true
        }
        EnvironmentChange::Settled | EnvironmentChange::Abandoned { .. } => false,
    }
}

/// Why the operation under way did not reach what it asked for, although the cluster may run as before.
pub(crate) fn abandoned(desired: &Desired) -> Option<&Failure> {
    let operation = desired.operation.as_ref()?;
    match &desired.environment {
        EnvironmentChange::Abandoned { failure, at } if *at >= operation.created_at => Some(failure),
        EnvironmentChange::Abandoned { .. }
        | EnvironmentChange::Settled
        | EnvironmentChange::Building
        | EnvironmentChange::Workers { .. }
        | EnvironmentChange::All { .. } => None,
    }
}

fn built(observed: &Observed, now: DateTime<Utc>) -> Option<EnvironmentStage> {
    let build = observed.build.as_ref()?;
    match &build.outcome {
        BuildOutcome::Ready => Some(EnvironmentStage::Workers),
        BuildOutcome::Refused(failure) => Some(EnvironmentStage::Abandoned(failure.clone())),
        BuildOutcome::Running => {
            let begun = build.stages.first()?.started_at;
            (begun + limits::BUILD <= now).then(|| EnvironmentStage::Abandoned(build_timed_out()))
        }
    }
}

fn widened(
    ready: bool,
    next: EnvironmentStage,
    failure: Option<Failure>,
    overdue: bool,
) -> Option<EnvironmentStage> {
    if ready {
        return Some(next);
    }
    failure
        .or_else(|| overdue.then(roll_out_timed_out))
        .map(|failure| EnvironmentStage::Abandoned(rolled_back(&failure)))
}

/// What nodes with the new environment cannot start.
fn failure_on(observed: &Observed, has_it: impl Fn(NodeRole) -> bool) -> Option<Failure> {
    let mut nodes = observed
        .nodes
        .iter()
        .filter(|node| has_it(node.role) && node.is_settled());
    nodes.find_map(node_failure)
}

/// A start after the change was begun gives it time anew.
fn is_overdue(desired: &Desired, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let begun = desired
        .operation
        .as_ref()
        .map_or(since, |operation| operation.created_at.max(since));
    begun + limits::ROLL_OUT <= now
}

fn workers_are_ready(desired: &Desired, observed: &Observed) -> bool {
    places(desired, observed)
        .filter(|place| place.role == NodeRole::Worker)
        .all(|place| place.node.is_some_and(is_ready))
}

fn build_timed_out() -> Failure {
    Failure {
        code: "environment_timed_out".to_owned(),
        message: "The environment was not built in time; nothing was changed.".to_owned(),
        remedy: "Look at the node that builds it, then ask for the change again.".to_owned(),
    }
}

fn roll_out_timed_out() -> Failure {
    Failure {
        code: "environment_timed_out".to_owned(),
        message: format!(
            "The nodes did not all work with the new environment within {} minutes.",
            limits::ROLL_OUT.num_minutes()
        ),
        remedy: "See in the timeline what it waited for.".to_owned(),
    }
}

fn rolled_back(failure: &Failure) -> Failure {
    Failure {
        code: "environment_rolled_back".to_owned(),
        message: format!(
            "{} The cluster goes back to its last good environment.",
            ended(&failure.message)
        ),
        remedy: "Look at that service's log, or bootstrap's; correct what was changed, and ask for it again."
            .to_owned(),
    }
}

fn ended(message: &str) -> String {
    let message = message.trim_end();
    if message.ends_with(['.', '!', '?']) {
        message.to_owned()
    } else {
        format!("{message}.")
    }
}
