//! What of its queue a worker is told. Pure.

use indexmap::IndexMap;
use updraft_model::{ClusterSpec, QueueName};

/// The option of Airflow that says in which queue tasks are that name none.
const DEFAULT_QUEUE: &str = "operators.default_queue";

/// Whether the size of a queue goes by its tasks, or the cluster's end by that there are none.
pub(super) fn wants_load(spec: &ClusterSpec) -> bool {
    let scales = spec.queues().iter().any(|queue| queue.min < queue.max);
    scales || !spec.stop_when_idle.is_never()
}

/// Tasks at once. A queue that was taken away has workers until they are drained.
pub(super) fn concurrency(spec: &ClusterSpec, queue: Option<&QueueName>) -> u32 {
    let queues = spec.queues();
    let own = queues.iter().find(|one| Some(&one.name) == queue);
    own.map_or(spec.worker_concurrency, |queue| queue.concurrency)
}

/// The queues whose tasks it takes, as Celery wants them named. The workers of `default` also take what the tenant calls its
/// default, unless that has workers of its own.
pub(super) fn listens_to(
    spec: &ClusterSpec,
    queue: Option<&QueueName>,
    overrides: &IndexMap<String, String>,
) -> String {
    let own = queue.cloned().unwrap_or_default();
    let has_workers = |name: &QueueName| spec.queues().iter().any(|queue| queue.name == *name);
    let renamed = overrides
        .get(DEFAULT_QUEUE)
        .and_then(|name| name.parse::<QueueName>().ok())
        .filter(|name| own.is_default() && !has_workers(name));
    match renamed {
        Some(renamed) => format!("{own},{renamed}"),
        None => own.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use updraft_model::{ClusterSpec, QueueName};

    use super::{concurrency, listens_to};

    /// Three tasks at once in `default`, one in `heavy`.
    fn spec() -> ClusterSpec {
        serde_json::from_value(json!({
            "runtime": "airflow-3.3.2",
            "worker_concurrency": 3,
            "worker_queues": [{"name": "heavy", "concurrency": 1, "min": 2, "max": 2}],
            "dag_sources": [{"source": {"kind": "push"}}],
        }))
        .unwrap()
    }

    fn name(text: &str) -> QueueName {
        text.parse().unwrap()
    }

    #[test]
    fn a_worker_runs_as_many_tasks_as_its_queue_says() {
        for (queue, at_once) in [("default", 3), ("heavy", 1), ("taken-away", 3)] {
            assert_eq!(concurrency(&spec(), Some(&name(queue))), at_once, "{queue}");
        }
    }

    #[test]
    fn tasks_that_name_no_queue_have_workers_whatever_the_default_is_called() {
        for (default_queue, queues) in [
            ("default", "default"),
            ("main", "default,main"),
            ("heavy", "default"),
            ("a, b", "default"),
        ] {
            let overrides = [("operators.default_queue".to_owned(), default_queue.to_owned())].into();
            assert_eq!(listens_to(&spec(), Some(&name("default")), &overrides), queues);
            assert_eq!(listens_to(&spec(), Some(&name("heavy")), &overrides), "heavy");
        }
    }
}
