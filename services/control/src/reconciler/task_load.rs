//! How many tasks there are, as the scheduler's node says, and the sizes of queues that follow from it. A node is believed about its
//! own cluster only, and sizes stay within what the tenant asked for, whatever it says.

use updraft_api::task_load::{QueueLoad, TaskLoad, WorkerLoad};
use updraft_model::{ClusterSpec, QueueName};
use updraft_planner as planner;
use updraft_store::leases::Lease;
use updraft_store::queue_sizes::{self, QueueSizeRecord};

use super::execute::{Progress, commit};
use super::observe::View;
use super::{ReconcileError, Reconciler};
use crate::assignments::workers_of;

/// More than a cluster has.
const QUEUES: usize = 50;
const WORKERS: usize = 300;
const WORD: usize = 60;

pub(super) fn bounded(load: TaskLoad) -> TaskLoad {
    let cut = |text: &str| text.chars().take(WORD).collect();
    let queue = |load: QueueLoad| QueueLoad {
        queue: cut(&load.queue),
        ..load
    };
    let worker = |load: WorkerLoad| WorkerLoad {
        hostname: cut(&load.hostname),
        ..load
    };
    TaskLoad {
        queues: load.queues.into_iter().take(QUEUES).map(queue).collect(),
        workers: load.workers.into_iter().take(WORKERS).map(worker).collect(),
        ..load
    }
}

/// As the planner takes it: by the workers that take them. What is no queue's name is nobody's.
pub(super) fn of_queues(spec: &ClusterSpec, load: &TaskLoad) -> Vec<planner::QueueLoad> {
    let queue = |load: &QueueLoad| {
        let named: QueueName = load.queue.parse().ok()?;
        Some(planner::QueueLoad {
            queue: workers_of(spec, named),
            queued: load.queued,
            running: load.running,
        })
    };
    load.queues.iter().filter_map(queue).collect()
}

/// Tasks on the node of this address; one of which nothing is said has none.
pub(super) fn on(load: &TaskLoad, address: &str) -> u32 {
    let here = load.workers.iter().filter(|worker| worker.hostname == address);
    here.map(|worker| worker.running).fold(0, u32::saturating_add)
}

pub(super) fn size(record: QueueSizeRecord) -> planner::QueueSize {
    planner::QueueSize {
        queue: record.queue,
        count: record.workers,
        fewer: record.fewer.map(|(since, most)| planner::Fewer { since, most }),
    }
}

impl Reconciler {
    pub(super) async fn size_queue(
        &self,
        lease: &Lease,
        view: &View,
        size: &planner::QueueSize,
    ) -> Result<Progress, ReconcileError> {
        let record = QueueSizeRecord {
            queue: size.queue.clone(),
            workers: size.count,
            fewer: size.fewer.as_ref().map(|fewer| (fewer.since, fewer.most)),
        };
        let mut tx = self.fenced(lease).await?;
        queue_sizes::set(&mut tx, view.cluster.tenant, view.cluster.id, &record).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_a_default_by_another_name_count_for_the_workers_of_default() {
        let spec: ClusterSpec = serde_json::from_value(serde_json::json!({
            "runtime": "airflow-3.3.2",
            "dag_sources": [{"source": {"kind": "push"}}],
            "config": {"operators.default_queue": "main"},
        }))
        .unwrap();
        let of_queue = |queue: &str, queued| QueueLoad {
            queue: queue.to_owned(),
            queued,
            running: 1,
        };
        let load = TaskLoad {
            queues: vec![
                of_queue("default", 1),
                of_queue("main", 2),
                of_queue("no queue", 4),
            ],
            ..TaskLoad::default()
        };
        let counted = of_queues(&spec, &load).into_iter();
        let counted: Vec<_> = counted
            .map(|load| (load.queue.to_string(), load.queued, load.running))
            .collect();
        let default = QueueName::default().to_string();
        assert_eq!(counted, [(default.clone(), 1, 1), (default, 2, 1)]);
    }
}
