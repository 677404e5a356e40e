//! What nodes need where they are started: looked at before the first of them, so that a wrong subnet ends a start within
//! seconds, and made where it is the cluster's own.
//!
//! It stays while the cluster is stopped, and is looked at anew by each start that begins without a node: accounts change
//! meanwhile. Nodes that are there show that it stands.

use chrono::{DateTime, Utc};
use updraft_model::{Failure, OperationKind};

use crate::desired::{Desired, Operation};
use crate::limits;
use crate::observed::{Observed, Resource};
use crate::plan;

pub(crate) fn is_due(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> bool {
    let Some(network) = &observed.network else {
        return false;
    };
    match network {
        Resource::Ready { .. } => !stands(desired, observed),
        Resource::Intended { attempted_at, .. } if is_of_before(desired, *attempted_at) => true,
        resource @ (Resource::Absent | Resource::Intended { .. }) => plan::is_due(resource, now),
    }
}

/// Whether nodes may be wanted: it is ready, and was looked at by this start.
pub(crate) fn stands(desired: &Desired, observed: &Observed) -> bool {
    match observed.network {
        None => true,
        Some(Resource::Ready { since }) => !observed.nodes.is_empty() || !is_of_before(desired, since),
        Some(Resource::Absent | Resource::Intended { .. }) => false,
    }
}

/// At once where waiting does not help. What an earlier operation was told is none of this one's.
pub(crate) fn failure(desired: &Desired, observed: &Observed) -> Option<Failure> {
    let Some(Resource::Intended {
        attempts,
        failure: Some(why),
        refused,
        attempted_at,
    }) = &observed.network
    else {
        return None;
    };
    let is_final = *refused || *attempts >= limits::RESOURCE_ATTEMPTS;
    (is_final && !is_of_before(desired, *attempted_at)).then(|| Failure {
        code: "network_unavailable".to_owned(),
        message: format!("No node can be started: {why}"),
        remedy: match refused {
            true => "Correct what the message names; it is tried again every minute.",
            false => "Check that the provider is reachable; it is tried again every minute.",
        }
        .to_owned(),
    })
}

fn is_of_before(desired: &Desired, at: DateTime<Utc>) -> bool {
    let starts = |operation: &&Operation| {
        matches!(
            operation.kind,
            OperationKind::Create | OperationKind::Start | OperationKind::Restart
        )
    };
    let start = desired.operation.as_ref().filter(starts);
    start.is_some_and(|operation| at < operation.created_at)
}
