//! When a cluster's keys are turned: between an orderly stop of its nodes and their start.
//!
//! Nodes end as for a stop, workers first, so that nobody is left who knows an old key when the new ones come. Then the
//! database's password follows. Then nodes are launched; the scheduler's writes anew what Airflow keeps encrypted, with the
//! new Fernet key and the old one, before anything runs there that reads it, and then the old one is taken away. Where that
//! does not work nodes read with both, and it is tried again whenever they start anew: never is there a cluster that can
//! open nothing. A cluster without nodes has its keys turned at once, and is written anew by its next start.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use updraft_model::{Failure, NodeRole, OnStop, OperationKind, Power};

use crate::action::Action;
use crate::desired::{Desired, KeyStage, KeyTurn, Operation};
use crate::limits;
use crate::nodes::rests;
use crate::observed::{Node, Observed, Reencryption, Resource};

/// The turn's next stage, when it is time for it.
pub(crate) fn action(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Option<Action> {
    if desired.power == Power::Deleted {
        return None;
    }
    let to = match &desired.keys {
        KeyTurn::Settled => None,
        KeyTurn::Draining if !observed.nodes.is_empty() => None,
        // None were ever made.
        KeyTurn::Draining if !observed.secrets.is_ready() => Some(KeyStage::Settled),
        KeyTurn::Draining => Some(KeyStage::Turned),
        KeyTurn::Turned => has_followed(&observed.database).then_some(KeyStage::Reencrypting),
        KeyTurn::Reencrypting { since } => written_anew(desired, observed, *since, now),
        KeyTurn::Both { .. } => is_stopped(desired, observed).then_some(KeyStage::Reencrypting),
    };
    to.map(|to| Action::TurnKeys { to })
}

/// What nodes are wanted while their keys are turned: none, and no machine is kept, whose disk knows the old ones.
pub(crate) fn of_nodes(desired: &Desired) -> Cow<'_, Desired> {
    if desired.power == Power::Deleted || !ends_nodes(desired) {
        return Cow::Borrowed(desired);
    }
    Cow::Owned(Desired {
        power: Power::Stopped,
        on_stop: OnStop::End,
        ..desired.clone()
    })
}

/// Whether nodes go, and none comes, though the cluster may be wanted.
pub(crate) fn ends_nodes(desired: &Desired) -> bool {
    desired.keys.ends_nodes()
}

/// Whether the database is to be given another password, also of a cluster that is stopped.
pub(crate) fn turns_database(desired: &Desired, observed: &Observed) -> bool {
    desired.keys == KeyTurn::Turned && !has_followed(&observed.database)
}

/// Whether something of a turn is left that ends by itself now: an operation waits for it.
pub(crate) fn is_under_way(desired: &Desired) -> bool {
    match desired.keys {
        KeyTurn::Settled | KeyTurn::Both { .. } => false,
        KeyTurn::Draining | KeyTurn::Turned => true,
        KeyTurn::Reencrypting { .. } => desired.power == Power::Running,
    }
}

/// Why the operation that was to turn the keys did not reach what it asked for, although the cluster runs.
pub(crate) fn failure(desired: &Desired) -> Option<&Failure> {
    let asked = |operation: &&Operation| operation.kind == OperationKind::RotateKeys;
    let operation = desired.operation.as_ref().filter(asked)?;
    match &desired.keys {
        KeyTurn::Both { failure, at } if *at >= operation.created_at => Some(failure),
        KeyTurn::Both { .. }
        | KeyTurn::Settled
        | KeyTurn::Draining
        | KeyTurn::Turned
        | KeyTurn::Reencrypting { .. } => None,
    }
}

/// From when on a start is waited for: not while workers drain.
pub(crate) fn start_begins(desired: &Desired, operation: &Operation) -> DateTime<Utc> {
    match &desired.keys {
        KeyTurn::Reencrypting { since: at } | KeyTurn::Both { at, .. } => operation.created_at.max(*at),
        KeyTurn::Settled | KeyTurn::Draining | KeyTurn::Turned => operation.created_at,
    }
}

fn is_stopped(desired: &Desired, observed: &Observed) -> bool {
    observed.nodes.iter().all(|node| rests(desired, node))
}

/// A cluster that never had a database has none to open.
fn has_followed(database: &Resource) -> bool {
    match database {
        Resource::Absent | Resource::Ready { .. } => true,
        Resource::Intended { .. } => false,
    }
}

fn written_anew(
    desired: &Desired,
    observed: &Observed,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<KeyStage> {
    if desired.power != Power::Running {
        return None;
    }
    let writer = observed
        .nodes
        .iter()
        .find(|node| node.role == NodeRole::Scheduler)?;
    match &observed.reencryption {
        Some(Reencryption::Done) if writer.is_settled() => Some(KeyStage::Settled),
        Some(Reencryption::Failed(failure)) if writer.is_settled() => Some(KeyStage::Both(failure.clone())),
        Some(Reencryption::Running | Reencryption::Done | Reencryption::Failed(_)) => None,
        None => unsaid_for_long(writer, since, now).map(KeyStage::Both),
    }
}

/// A node that has taken up what it is to do and says nothing of this has an agent that does not know how.
fn unsaid_for_long(writer: &Node, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<Failure> {
    let overdue = writer.created_at.max(since) + limits::REENCRYPTION <= now;
    (overdue && writer.is_settled()).then(unsaid)
}

fn unsaid() -> Failure {
    Failure {
        code: "keys_not_rotated".to_owned(),
        message: format!(
            "The scheduler's node did not write anew within {} minutes what Airflow keeps encrypted; it is read with both \
             Fernet keys until then.",
            limits::REENCRYPTION.num_minutes()
        ),
        remedy: "Look at the scheduler node's agent, then rotate the keys again.".to_owned(),
    }
}
