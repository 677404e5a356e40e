//! Gathers what is known of one cluster. No decisions: what it finds is translated, word for word, for the planner.
//!
//! Three tell of it: what is written down ([`records`]), what the provider lists ([`sighted`]) and what its nodes say ([`said`]).

mod records;
mod said;
mod sighted;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{ClusterId, OnStop, OperationId};
use updraft_planner::{Desired, Loss, Node, Observed, Operation, ProviderView, Switch};
use updraft_provider::{LaunchRequest, ListedNode, NetworkId};
use updraft_store::environment_changes::EnvironmentChange;
use updraft_store::key_turns::KeyTurn;
use updraft_store::leases::ReconciledCluster;
use updraft_store::nodes::NodeRecord;

use super::{Parts, ReconcileError, Reconciler, environment, keys, task_load};
use records::{Records, histories, resource, state};
use said::{last_sign, with_tasks};
use sighted::Strays;

pub(super) use sighted::Sight;

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
            load: load.as_ref().map(|load| task_load::of_queues(counted, load)),
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
}

// === impl View ===

impl View {
    /// Whether it has nodes that no record names and no operator has given over.
    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.desired.terminate_unrecorded
    }
}

// === impl Parts ===

impl Parts {
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
            loss: record.loss.as_deref().and_then(Loss::named),
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
}
