//! What is written down of a cluster and its nodes.

use chrono::TimeDelta;
use updraft_model::ClusterId;
use updraft_planner::{
    LateFailures, LaunchFailure, LaunchFailureKind, Loss, NodeState, PlaceHistory, Resource,
};
use updraft_store::environment_changes::{self, EnvironmentChange};
use updraft_store::key_turns::{self, KeyTurn};
use updraft_store::leases::{self, ReconciledCluster};
use updraft_store::nodes::{self, LaunchFailureRecord, LostNode, NodeRecord, RecordState};
use updraft_store::queue_sizes::{self, QueueSizeRecord};
use updraft_store::resources::{self, ResourceKind, ResourceRecord};
use updraft_store::{Store, operation_steps};

use super::super::ReconcileError;

/// How long a loss counts against its place.
const LOSSES_COUNT_FOR: TimeDelta = TimeDelta::minutes(30);

pub(super) struct Records {
    pub(super) cluster: ReconciledCluster,
    pub(super) change: Option<EnvironmentChange>,
    pub(super) keys: Option<KeyTurn>,
    pub(super) operation: Option<operation_steps::RunningOperation>,
    pub(super) nodes: Vec<NodeRecord>,
    pub(super) sizes: Vec<QueueSizeRecord>,
    pub(super) lost: Vec<LostNode>,
    pub(super) resources: [Resource; 3],
    pub(super) network: Option<ResourceRecord>,
}

// === impl Records ===

impl Records {
    /// All of one moment: an operation that is asked for meanwhile must not be taken for one of the spec before.
    pub(super) async fn read(store: &Store, cluster: ClusterId) -> Result<Option<Self>, ReconcileError> {
        let mut tx = store.snapshot().await?;
        let Some(loaded) = leases::load(&mut tx, cluster).await? else {
            return Ok(None);
        };
        let mut found = Vec::with_capacity(3);
        for kind in [
            ResourceKind::Secrets,
            ResourceKind::Database,
            ResourceKind::Storage,
        ] {
            found.push(resource(resources::find(&mut tx, cluster, kind).await?));
        }
        let resources = <[Resource; 3]>::try_from(found).map_err(|_| ReconcileError::Corrupt {
            what: "resources".to_owned(),
        })?;
        Ok(Some(Self {
            network: resources::find(&mut tx, cluster, ResourceKind::Network).await?,
            change: environment_changes::find(&mut tx, loaded.tenant, cluster).await?,
            keys: key_turns::find(&mut tx, loaded.tenant, cluster).await?,
            operation: operation_steps::running(&mut tx, cluster).await?,
            nodes: nodes::live(&mut tx, cluster).await?,
            sizes: queue_sizes::list(&mut tx, loaded.tenant, cluster).await?,
            lost: nodes::lost_since(&mut tx, cluster, loaded.now - LOSSES_COUNT_FOR).await?,
            cluster: loaded,
            resources,
        }))
    }
}

pub(super) fn state(record: &NodeRecord) -> NodeState {
    match (record.state, record.launched_at) {
        (RecordState::Intended, _) => NodeState::Intended {
            attempts: record.launch_attempts,
            attempted_at: record.launch_attempted_at,
            failure: record.launch_failure.as_ref().map(launch_failure),
        },
        (RecordState::Launched, Some(at)) => NodeState::Launched { at },
        (RecordState::Launched, None) => NodeState::Launched {
            at: record.created_at,
        },
        (RecordState::Kept, launched_at) => NodeState::Kept { launched_at },
        (RecordState::Terminating | RecordState::Gone, launched_at) => NodeState::Terminating { launched_at },
    }
}

fn launch_failure(record: &LaunchFailureRecord) -> LaunchFailure {
    let kind = match record.kind.as_str() {
        "quota" => LaunchFailureKind::Quota,
        "capacity" => LaunchFailureKind::Capacity,
        "throttled" => LaunchFailureKind::Throttled,
        "refused" => LaunchFailureKind::Refused,
        _ => LaunchFailureKind::Unclear,
    };
    LaunchFailure {
        kind,
        message: record.message.clone(),
    }
}

pub(super) fn resource(record: Option<ResourceRecord>) -> Resource {
    match record {
        None => Resource::Absent,
        Some(ResourceRecord {
            ready_at: Some(since),
            ..
        }) => Resource::Ready { since },
        Some(ResourceRecord {
            attempts,
            failure,
            refused,
            attempted_at,
            ready_at: None,
            provider_id: _,
        }) => Resource::Intended {
            attempts,
            failure,
            refused,
            attempted_at,
        },
    }
}

/// Losses by place; `lost` is in order of time.
pub(super) fn histories(lost: &[LostNode]) -> Vec<PlaceHistory> {
    let mut places: Vec<PlaceHistory> = Vec::new();
    for node in lost {
        let is_here = |h: &PlaceHistory| h.role == node.role && h.ordinal == node.ordinal;
        let unheard = node.loss == Loss::NeverReported.as_str();
        let late = node.launch_failure.as_ref().map(launch_failure);
        match places.iter_mut().find(|history| is_here(history)) {
            Some(history) => {
                history.losses += 1;
                history.never_reported = if unheard { history.never_reported + 1 } else { 0 };
                history.late_failures = in_a_row(history.late_failures.as_ref(), late);
                history.last_lost_at = node.gone_at;
            }
            None => places.push(PlaceHistory {
                role: node.role,
                ordinal: node.ordinal,
                losses: 1,
                never_reported: u32::from(unheard),
                late_failures: in_a_row(None, late),
                last_lost_at: node.gone_at,
            }),
        }
    }
    places
}

/// One more, if the last loss is one.
fn in_a_row(before: Option<&LateFailures>, last: Option<LaunchFailure>) -> Option<LateFailures> {
    let times = 1 + before.map_or(0, |before| before.times);
    last.map(|failure| LateFailures { times, failure })
}
