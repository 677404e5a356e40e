//! What the nodes of a cluster say: to this process, or as another wrote it down.

use chrono::{DateTime, Utc};
use updraft_api::agent::ReencryptionReport;
use updraft_api::task_load::TaskLoad;
use updraft_model::NodeRole;
use updraft_planner::{self as planner, Node, Report, limits};
use updraft_store::environment_changes::EnvironmentChange;
use updraft_store::leases::ReconciledCluster;
use updraft_store::nodes::NodeRecord;

use super::super::environment::Said;
use super::super::{Parts, ReconcileError, Reconciler, bootstrap, environment, metadata, task_load};

impl Reconciler {
    /// How many tasks there are, as the scheduler's node said last; none where it is silent.
    pub(super) fn load(&self, cluster: &ReconciledCluster, records: &[NodeRecord]) -> Option<TaskLoad> {
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
    pub(super) fn build(
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
    pub(super) fn said_of_keys(
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
}

// === impl Parts ===

impl Parts {
    /// What it last said: to this process, or as another wrote it since.
    pub(super) fn report(
        &self,
        record: &NodeRecord,
        now: DateTime<Utc>,
    ) -> Result<Option<Report>, ReconcileError> {
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
pub(super) fn with_tasks(nodes: Vec<Node>, records: &[NodeRecord], load: Option<&TaskLoad>) -> Vec<Node> {
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
pub(super) fn last_sign(record: &NodeRecord) -> Option<DateTime<Utc>> {
    record.launched_at.max(record.reported_at)
}
