//! Gathers what is known of one cluster. No decisions: what it finds is translated, word for word, for the planner.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use updraft_api::agent::ReencryptionReport;
use updraft_api::task_load::TaskLoad;
use updraft_model::{ClusterId, NodeRole, OnStop, OperationId, Phase};
use updraft_planner::{
    self as planner, Desired, LaunchFailure, LaunchFailureKind, Loss, Node, NodeState, Observed, Operation,
    Orphan, PlaceHistory, ProviderView, Report, Resource, Switch, limits,
};
use updraft_provider::{LaunchRequest, ListedNode, NetworkId, NodeStatus, ProviderId};
use updraft_store::environment_changes::{self, EnvironmentChange};
use updraft_store::key_turns::{self, KeyTurn};
use updraft_store::leases::{self, ReconciledCluster};
use updraft_store::nodes::{self, LaunchFailureRecord, LostNode, NodeRecord, RecordState};
use updraft_store::queue_sizes::{self, QueueSizeRecord};
use updraft_store::resources::{self, ResourceKind, ResourceRecord};
use updraft_store::{Store, operation_steps, restore_holds};

use super::environment::Said;
use super::{Parts, ReconcileError, Reconciler, bootstrap, environment, keys, metadata, task_load};

/// How long a loss counts against its place.
const LOSSES_COUNT_FOR: TimeDelta = TimeDelta::minutes(30);

/// One cluster at one moment.
pub(super) struct View {
    pub(super) cluster: ReconciledCluster,
    pub(super) operation: Option<OperationId>,
    /// By the database's clock, as all times on record; this process's own may go wrong.
    pub(super) now: DateTime<Utc>,
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    /// How far the change of its environment is.
    pub(super) change: Option<EnvironmentChange>,
    /// How far the last turn of its keys is.
    pub(super) keys: Option<KeyTurn>,
    /// The records the observation was made of.
    pub(super) records: Vec<NodeRecord>,
    /// Ids of nodes at the provider whose records do not know them yet.
    pub(super) listed: Vec<ListedNode>,
    /// What its nodes are in, where that is the cluster's own.
    pub(super) network: Option<NetworkId>,
}

/// Whose list a look takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// The one of all, some seconds old.
    Shared,
    /// One that is asked for now.
    Own,
}

/// A cluster's nodes as they were listed so long ago.
struct Sighting {
    listed: Vec<ListedNode>,
    age: TimeDelta,
}

/// What the provider lists of a cluster beyond its live records' nodes.
struct Strays {
    orphans: Vec<Orphan>,
    /// Whether an operator gave over those that no record names, if there are any.
    are_confirmed: bool,
}

struct Records {
    cluster: ReconciledCluster,
    change: Option<EnvironmentChange>,
    keys: Option<KeyTurn>,
    operation: Option<operation_steps::RunningOperation>,
    nodes: Vec<NodeRecord>,
    sizes: Vec<QueueSizeRecord>,
    lost: Vec<LostNode>,
    resources: [Resource; 3],
    network: Option<ResourceRecord>,
}

impl Reconciler {
    /// None: the cluster is deleted.
    pub(super) async fn observe(
        &self,
        cluster: ClusterId,
        sight: Sight,
    ) -> Result<Option<View>, ReconcileError> {
        let refreshed = self.parts.assignments.refresh(cluster).await;
        if let Err(error) = &refreshed {
            tracing::error!(cluster.id = cluster.0, %error, "assignments cannot be rendered");
        }
        let Some(records) = Records::read(&self.parts.store, cluster).await? else {
            return Ok(None);
        };
        let now = records.cluster.now;
        let sighting = self.sighting(&records, sight).await;
        let mut observations = Vec::with_capacity(records.nodes.len());
        for record in &records.nodes {
            let provider = self.parts.provider_view(record, sighting.as_ref(), now).await;
            let node = self.parts.node(record, provider, now)?;
            let version = if refreshed.is_ok() {
                node.assignment_version
            } else {
                i64::MAX
            };
            observations.push(Node {
                assignment_version: version,
                ..node
            });
        }
        let listed = sighting.map(|sighting| sighting.listed).unwrap_or_default();
        let strays = self.strays(&records.nodes, &listed).await?;
        Ok(Some(self.view(records, observations, strays, listed)))
    }

    /// None: the provider did not answer.
    async fn sighting(&self, records: &Records, sight: Sight) -> Option<Sighting> {
        let cluster = records.cluster.id;
        if sight == Sight::Own {
            let listed = self.parts.listed(cluster).await?;
            return Some(Sighting {
                listed,
                age: TimeDelta::zero(),
            });
        }
        let settings = &self.parts.settings;
        let is_steady =
            records.operation.is_none() && matches!(records.cluster.phase, Phase::Running | Phase::Stopped);
        let age = if is_steady { settings.watch } else { settings.fresh };
        let all = self.inventory.at_most(records.cluster.account, age).await.ok()?;
        Some(Sighting {
            listed: all.of(cluster).to_vec(),
            age: TimeDelta::from_std(all.began.elapsed()).unwrap_or(TimeDelta::MAX),
        })
    }

    fn view(&self, records: Records, nodes: Vec<Node>, strays: Strays, listed: Vec<ListedNode>) -> View {
        let [secrets, database, storage] = records.resources;
        let made = records
            .network
            .as_ref()
            .and_then(|record| record.provider_id.clone());
        let needs_network = self.parts.provider.prepares_clusters();
        let network = needs_network.then(|| resource(records.network));
        let (cluster, change, keys) = (records.cluster, records.change, records.keys);
        let counted = change
            .as_ref()
            .map_or(&cluster.spec, |change| change.counted(&cluster.spec));
        let build = self.build(change.as_ref(), &cluster, &records.nodes);
        let reencryption = keys
            .as_ref()
            .and_then(|keys| keys::reencryption(keys, self.said_of_keys(&cluster, &records.nodes)));
        let load = self.load(&cluster, &records.nodes);
        let nodes = with_tasks(nodes, &records.nodes, load.as_ref());
        let operation = records.operation.as_ref().map(|operation| operation.id);
        let desired = Desired {
            power: cluster.power,
            generation: cluster.generation,
            on_stop: OnStop::chosen([
                cluster.spec.on_stop,
                cluster.account_on_stop,
                self.parts.settings.on_stop,
            ]),
            queues: counted.queues(),
            environment: environment::change(change.as_ref()),
            keys: keys::turn(keys.as_ref()),
            operation: records.operation.map(|operation| Operation {
                kind: operation.kind,
                generation: operation.generation,
                created_at: operation.created_at,
                steps: operation.steps,
            }),
            terminate_unrecorded: strays.are_confirmed,
            brings_database: cluster.spec.metadata_database.is_some(),
            scale_in_after: TimeDelta::from_std(self.parts.settings.scale_in_after).unwrap_or(TimeDelta::MAX),
        };
        let lag = TimeDelta::from_std(self.parts.provider.listing_lag()).unwrap_or(TimeDelta::MAX);
        let observed = Observed {
            phase: cluster.phase.clone(),
            secrets,
            database,
            storage,
            network,
            build,
            reencryption,
            hearing: self.parts.liveness.hearing(cluster.account),
            nodes,
            losses: histories(&records.lost),
            load: load.as_ref().map(task_load::of_queues),
            sizes: records.sizes.into_iter().map(task_load::size).collect(),
            orphans: strays.orphans,
            listing_lag: lag,
        };
        View {
            now: cluster.now,
            cluster,
            operation,
            desired,
            observed,
            change,
            keys,
            records: records.nodes,
            listed,
            network: made.map(NetworkId),
        }
    }

    /// How many tasks there are, as the scheduler's node said last; none where it is silent.
    fn load(&self, cluster: &ReconciledCluster, records: &[NodeRecord]) -> Option<TaskLoad> {
        let teller = records.iter().find(|record| record.role == NodeRole::Scheduler)?;
        let age = teller.reported_at.map(|at| cluster.now - at);
        let silence = self
            .parts
            .liveness
            .silence(teller.id, last_sign(teller).map(|at| cluster.now - at));
        if silence >= limits::QUIET {
            return None;
        }
        match self.parts.liveness.latest_since(teller.id, age) {
            Some(report) => report.load.clone(),
            None => kept_report(teller)?.load,
        }
    }

    /// What the scheduler's node says of what it builds and tries.
    fn build(
        &self,
        change: Option<&EnvironmentChange>,
        cluster: &ReconciledCluster,
        records: &[NodeRecord],
    ) -> Option<planner::Build> {
        let builder = records.iter().find(|record| record.role == NodeRole::Scheduler)?;
        let age = builder.reported_at.map(|at| cluster.now - at);
        let heard = self.parts.liveness.latest_since(builder.id, age);
        let kept = || serde_json::from_value(builder.report.clone()?).ok();
        let said = match heard {
            Some(report) => Said::of(&report),
            None => kept().as_ref().map(Said::of).unwrap_or_default(),
        };
        environment::build(change?, &cluster.spec, said)
    }

    /// What the scheduler's node says of what Airflow keeps encrypted.
    fn said_of_keys(
        &self,
        cluster: &ReconciledCluster,
        records: &[NodeRecord],
    ) -> Option<ReencryptionReport> {
        let writer = records.iter().find(|record| record.role == NodeRole::Scheduler)?;
        let age = writer.reported_at.map(|at| cluster.now - at);
        match self.parts.liveness.latest_since(writer.id, age) {
            Some(report) => report.reencryption.clone(),
            None => kept_report(writer)?.reencryption,
        }
    }

    /// What the provider lists beyond the live records' nodes.
    async fn strays(&self, records: &[NodeRecord], listed: &[ListedNode]) -> Result<Strays, ReconcileError> {
        let is_owned = |node: &ListedNode| {
            records.iter().any(|record| {
                record.id == node.node && record.provider_id.as_ref().is_none_or(|id| *id == node.id.0)
            })
        };
        let strangers: Vec<_> = listed
            .iter()
            .filter(|node| node.status != NodeStatus::Ending && !is_owned(node))
            .collect();
        let unrecorded = self.unrecorded(&strangers).await?;
        let ids: Vec<_> = unrecorded.iter().map(|node| node.id.0.clone()).collect();
        let are_confirmed = ids.is_empty() || {
            let mut connection = self.parts.store.connection().await?;
            restore_holds::confirmed(&mut connection, &ids).await?.len() == ids.len()
        };
        let orphan = |node: &ListedNode| Orphan {
            provider_id: node.id.0.clone(),
            recorded: !ids.contains(&node.id.0),
        };
        Ok(Strays {
            orphans: strangers.into_iter().map(orphan).collect(),
            are_confirmed,
        })
    }
}

// === impl View ===

impl View {
    /// Whether it has nodes that no record names and no operator has given over.
    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.desired.terminate_unrecorded
    }
}

// === impl Records ===

impl Records {
    /// All of one moment: an operation that is asked for meanwhile must not be taken for one of the spec before.
    async fn read(store: &Store, cluster: ClusterId) -> Result<Option<Self>, ReconcileError> {
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

// === impl Parts ===

impl Parts {
    /// None: the provider did not answer.
    async fn listed(&self, cluster: ClusterId) -> Option<Vec<ListedNode>> {
        match timeout(self.settings.call_timeout, self.provider.list(Some(cluster))).await {
            Ok(Ok(listed)) => Some(listed),
            Ok(Err(error)) => {
                tracing::warn!(cluster.id = cluster.0, %error, "the provider does not list its nodes");
                None
            }
            Err(_) => None,
        }
    }

    async fn provider_view(
        &self,
        record: &NodeRecord,
        sighting: Option<&Sighting>,
        now: DateTime<Utc>,
    ) -> ProviderView {
        let Some(Sighting { listed, age }) = sighting else {
            return ProviderView::Unknown;
        };
        let is_it = |node: &&ListedNode| {
            node.node == record.id && record.provider_id.as_ref().is_none_or(|id| *id == node.id.0)
        };
        if let Some(node) = listed.iter().find(is_it) {
            return view_of(node.status);
        }
        let Some(id) = record.provider_id.clone() else {
            return ProviderView::Unlisted;
        };
        // A list of before its launch says nothing of it.
        if record.launched_at.is_some_and(|at| now - at < *age) {
            return ProviderView::Unknown;
        }
        match timeout(
            self.settings.call_timeout,
            self.provider.describe(&ProviderId(id)),
        )
        .await
        {
            Ok(Ok(status)) => view_of(status),
            Ok(Err(_)) | Err(_) => ProviderView::Unknown,
        }
    }

    fn node(
        &self,
        record: &NodeRecord,
        provider: ProviderView,
        now: DateTime<Utc>,
    ) -> Result<Node, ReconcileError> {
        Ok(Node {
            id: record.id,
            role: record.role,
            ordinal: record.ordinal,
            queue: record.queue.clone(),
            instance_type: record.instance_type.clone(),
            tasks: None,
            generation: record.generation,
            state: state(record),
            stop_asked_at: record.stop_asked_at,
            loss: record
                .loss
                .as_deref()
                .and_then(|word| Loss::ALL.into_iter().find(|loss| loss.as_str() == word)),
            created_at: record.created_at,
            provider,
            switch: Switch {
                works: self
                    .provider
                    .can_stand_still(&LaunchRequest(record.request.clone())),
                asked_at: record.switch_asked_at,
                refusals: record.switch_refusals,
            },
            assignment_version: record.assignment_version,
            report: self.report(record, now)?,
            silence: self
                .liveness
                .silence(record.id, last_sign(record).map(|at| now - at)),
        })
    }

    /// What it last said: to this process, or as another wrote it since.
    fn report(&self, record: &NodeRecord, now: DateTime<Utc>) -> Result<Option<Report>, ReconcileError> {
        let heard = self
            .liveness
            .latest_since(record.id, record.reported_at.map(|at| now - at))
            .map(|report| (*report).clone());
        let report = match (heard, &record.report) {
            (Some(report), _) => Some(report),
            (None, Some(kept)) => Some(
                serde_json::from_value::<updraft_api::agent::Report>(kept.clone()).map_err(|_| {
                    ReconcileError::Corrupt {
                        what: format!("the report of {}", record.label()),
                    }
                })?,
            ),
            (None, None) => None,
        };
        Ok(report.map(|report| Report {
            phase: report.phase,
            assignment_version: report.assignment_version,
            generation: report.generation,
            services: report.services,
            script_failure: report.script.as_ref().and_then(bootstrap::failure),
            metadata_failure: report.metadata.as_ref().and_then(metadata::failure),
            reclaimed: report.reclaimed_at.is_some(),
            steps: report.steps,
        }))
    }
}

fn kept_report(record: &NodeRecord) -> Option<updraft_api::agent::Report> {
    serde_json::from_value(record.report.clone()?).ok()
}

/// Workers with the tasks that run on them.
fn with_tasks(nodes: Vec<Node>, records: &[NodeRecord], load: Option<&TaskLoad>) -> Vec<Node> {
    let tasks = |node: &Node| {
        let record = records.iter().find(|record| record.id == node.id)?;
        Some(task_load::on(load?, record.address.as_deref()?))
    };
    nodes
        .into_iter()
        .map(|node| Node {
            tasks: tasks(&node),
            ..node
        })
        .collect()
}

/// When it was started, or another control wrote down what it said: its own word may take a while to get around.
fn last_sign(record: &NodeRecord) -> Option<DateTime<Utc>> {
    record.launched_at.max(record.reported_at)
}

fn state(record: &NodeRecord) -> NodeState {
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

fn view_of(status: NodeStatus) -> ProviderView {
    match status {
        NodeStatus::Pending => ProviderView::Pending,
        NodeStatus::Running => ProviderView::Running,
        NodeStatus::Impaired => ProviderView::Impaired,
        NodeStatus::Stopped => ProviderView::Stopped,
        NodeStatus::Ending => ProviderView::Ending,
        NodeStatus::Gone => ProviderView::Gone,
        NodeStatus::Unknown => ProviderView::Unlisted,
    }
}

fn resource(record: Option<ResourceRecord>) -> Resource {
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
fn histories(lost: &[LostNode]) -> Vec<PlaceHistory> {
    let mut places: Vec<PlaceHistory> = Vec::new();
    for node in lost {
        let is_here = |h: &PlaceHistory| h.role == node.role && h.ordinal == node.ordinal;
        let unheard = node.loss == Loss::NeverReported.as_str();
        match places.iter_mut().find(|history| is_here(history)) {
            Some(history) => {
                history.losses += 1;
                history.never_reported = if unheard { history.never_reported + 1 } else { 0 };
                history.last_lost_at = node.gone_at;
            }
            None => places.push(first_loss(node.role, node.ordinal, unheard, node.gone_at)),
        }
    }
    places
}

fn first_loss(role: NodeRole, ordinal: u32, unheard: bool, at: DateTime<Utc>) -> PlaceHistory {
    PlaceHistory {
        role,
        ordinal,
        losses: 1,
        never_reported: u32::from(unheard),
        last_lost_at: at,
    }
}
