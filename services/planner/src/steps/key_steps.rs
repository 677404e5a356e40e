//! The timeline of a turn of the keys: nodes end, new keys come, the database follows, and what is encrypted is written anew.

use updraft_model::{OperationKind, Power, StepState};

use super::Draft;
use crate::desired::{Desired, KeyTurn, Operation};
use crate::observed::{Observed, Resource};

pub(super) fn drafts(desired: &Desired, observed: &Observed, operation: &Operation) -> Vec<Draft> {
    if operation.kind != OperationKind::RotateKeys {
        return Vec::new();
    }
    let [turned, database, anew] = states(&desired.keys);
    let failure = match &observed.database {
        Resource::Intended { failure, .. } if database == StepState::Running => failure.clone(),
        Resource::Intended { .. } | Resource::Absent | Resource::Ready { .. } => None,
    };
    let unread = match &desired.keys {
        KeyTurn::Both { failure, .. } => Some(failure.message.clone()),
        KeyTurn::Settled | KeyTurn::Draining | KeyTurn::Turned | KeyTurn::Reencrypting { .. } => None,
    };
    let mut steps = vec![
        Draft::new("keys/turn", "Make new keys once no node has the old ones", turned),
        Draft {
            detail: failure,
            ..Draft::new("keys/database", "Change the database's password", database)
        },
    ];
    let next_start = desired.power == Power::Stopped && matches!(desired.keys, KeyTurn::Reencrypting { .. });
    if !next_start {
        steps.push(Draft {
            detail: unread,
            ..Draft::new("keys/anew", "Encrypt connections and variables anew", anew)
        });
    }
    steps
}

fn states(keys: &KeyTurn) -> [StepState; 3] {
    use StepState::{Done, Failed, Pending, Running};
    match keys {
        KeyTurn::Draining => [Pending, Pending, Pending],
        KeyTurn::Turned => [Done, Running, Pending],
        KeyTurn::Reencrypting { .. } => [Done, Done, Running],
        KeyTurn::Both { .. } => [Done, Done, Failed],
        KeyTurn::Settled => [Done, Done, Done],
    }
}
