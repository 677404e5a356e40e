//! What of its queue a worker is told. Pure.

use updraft_model::{ClusterSpec, QueueName};

/// The option of Airflow that says in which queue tasks are that name none.
const DEFAULT_QUEUE: &str = "operators.default_queue";
/// The same as an environment variable.
const DEFAULT_QUEUE_VARIABLE: &str = "AIRFLOW__OPERATORS__DEFAULT_QUEUE";

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

/// The queues whose tasks it takes, as Celery wants them named.
pub(super) fn listens_to(spec: &ClusterSpec, queue: Option<&QueueName>) -> String {
    let own = queue.cloned().unwrap_or_default();
    match renamed_default(spec).filter(|_| own.is_default()) {
        Some(renamed) => format!("{own},{renamed}"),
        None => own.to_string(),
    }
}

/// Whose workers take the tasks of this queue.
pub(crate) fn workers_of(spec: &ClusterSpec, queue: QueueName) -> QueueName {
    match renamed_default(spec) {
        Some(renamed) if renamed == queue => QueueName::default(),
        Some(_) | None => queue,
    }
}

/// What the tenant calls its default: the workers of `default` also take its tasks, unless it has workers of its own.
fn renamed_default(spec: &ClusterSpec) -> Option<QueueName> {
    let variable = spec.environment_variables.get(DEFAULT_QUEUE_VARIABLE);
    let name = variable.or_else(|| spec.config.get(DEFAULT_QUEUE))?;
    let name: QueueName = name.parse().ok()?;
    let has_workers = spec.queues().iter().any(|queue| queue.name == name);
    (!has_workers).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use updraft_model::{ClusterSpec, QueueName};

    use super::{concurrency, listens_to, workers_of};

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

    /// In either of the ways in which an option is set.
    fn calling_its_default(default_queue: &str) -> [ClusterSpec; 2] {
        let (mut by_config, mut by_variable) = (spec(), spec());
        let set = |name: &str| (name.to_owned(), default_queue.to_owned());
        by_config.config = [set("operators.default_queue")].into();
        by_variable.environment_variables = [set("AIRFLOW__OPERATORS__DEFAULT_QUEUE")].into();
        [by_config, by_variable]
    }

    #[test]
    fn tasks_that_name_no_queue_have_workers_whatever_the_default_is_called() {
        for (default_queue, queues) in [
            ("default", "default"),
            ("main", "default,main"),
            ("heavy", "default"),
            ("a, b", "default"),
        ] {
            for spec in calling_its_default(default_queue) {
                assert_eq!(listens_to(&spec, Some(&name("default"))), queues);
                assert_eq!(listens_to(&spec, Some(&name("heavy"))), "heavy");
            }
        }
        assert_eq!(listens_to(&spec(), Some(&name("default"))), "default");
    }

    #[test]
    fn tasks_count_for_the_workers_that_listen_to_their_queue() {
        for (default_queue, queue, workers) in [
            ("main", "main", "default"),
            ("main", "default", "default"),
            ("main", "heavy", "heavy"),
            ("main", "other", "other"),
            ("heavy", "heavy", "heavy"),
        ] {
            for spec in calling_its_default(default_queue) {
                assert_eq!(workers_of(&spec, name(queue)), name(workers));
                let listened = listens_to(&spec, Some(&name(workers)));
                assert!(listened.split(',').any(|one| one == queue), "{listened}");
            }
        }
    }
}
