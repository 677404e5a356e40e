//! What queues a cluster may have; refuses by name what is out of bounds. Pure.

use std::collections::HashSet;

use updraft_model::{ClusterSpec, WorkerQueue};

use crate::AppError;

pub(crate) const MAX_WORKERS: u32 = 20;
pub(crate) const MAX_CONCURRENCY: u32 = 64;
const MAX_QUEUES: usize = 10;

/// The size of `default` is said in one place: by `workers`, or by a queue of that name.
pub(crate) fn check_said_once(
    queues: &[WorkerQueue],
    (workers, concurrency): (Option<u32>, Option<u32>),
) -> Result<(), AppError> {
    let field = match (workers, concurrency) {
        (None, None) => return Ok(()),
        (Some(_), _) => "workers",
        (None, Some(_)) => "worker_concurrency",
    };
    if queues.iter().any(|queue| queue.name.is_default()) {
        let why = "the queue `default` is one of `worker_queues`: change it there, or take it out of them";
        return Err(AppError::invalid(field, why));
    }
    Ok(())
}

pub(crate) fn check(queues: &[WorkerQueue]) -> Result<(), AppError> {
    if queues.len() > MAX_QUEUES {
        let why = format!("a cluster has at most {MAX_QUEUES} queues");
        return Err(AppError::invalid("worker_queues", why));
    }
    let mut names = HashSet::new();
    for (index, queue) in queues.iter().enumerate() {
        let refuse =
            |part: &str, why: String| Err(AppError::invalid(format!("worker_queues[{index}].{part}"), why));
        if !names.insert(&queue.name) {
            return refuse("name", format!("there are two queues `{}`", queue.name));
        }
        if !(1..=MAX_CONCURRENCY).contains(&queue.concurrency) {
            return refuse(
                "concurrency",
                format!("one worker runs 1 to {MAX_CONCURRENCY} tasks at once"),
            );
        }
        if queue.max > MAX_WORKERS {
            return refuse("max", format!("a queue has 0 to {MAX_WORKERS} workers"));
        }
        if queue.min > queue.max {
            return refuse("min", format!("it is more than the most, which is {}", queue.max));
        }
        if queue
            .instance_type
            .as_deref()
            .is_some_and(|machine| !is_instance_type(machine))
        {
            return refuse(
                "instance_type",
                "write an instance type, for example r7i.xlarge".to_owned(),
            );
        }
    }
    Ok(())
}

/// Whether this installation has machines to choose from.
pub(crate) fn check_machines(spec: &ClusterSpec, offered: bool) -> Result<(), AppError> {
    let chosen = spec
        .worker_queues
        .iter()
        .position(|queue| queue.instance_type.is_some());
    match chosen.filter(|_| !offered) {
        None => Ok(()),
        Some(index) => {
            let why = "this installation's nodes are processes of one machine: leave the instance type out";
            Err(AppError::invalid(
                format!("worker_queues[{index}].instance_type"),
                why,
            ))
        }
    }
}

/// `workers` and `worker_concurrency` tell those who know no queues what `default` has at least.
pub(crate) fn settled(spec: ClusterSpec) -> ClusterSpec {
    let default = spec.worker_queues.iter().find(|queue| queue.name.is_default());
    let Some((workers, worker_concurrency)) = default.map(|queue| (queue.min, queue.concurrency)) else {
        return spec;
    };
    ClusterSpec {
        workers,
        worker_concurrency,
        ..spec
    }
}

fn is_instance_type(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    text.len() <= 32 && text.contains('.') && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use updraft_api::rest::{NewCluster, UpdateCluster};
    use updraft_model::{ClusterSpec, Generation, WorkerQueue};
    use updraft_runtimes::Catalogue;

    use super::check_machines;
    use crate::AppError;
    use crate::spec::{new_spec, updated_spec};

    fn queues(typed: &[&str]) -> Vec<WorkerQueue> {
        typed.iter().map(|queue| queue.parse().unwrap()).collect()
    }

    fn asked(typed: &[&str]) -> Result<ClusterSpec, AppError> {
        let mut new: NewCluster = serde_json::from_str(r#"{"name":"demo"}"#).unwrap();
        new.worker_queues = queues(typed);
        new_spec(new, &Catalogue::embedded().unwrap())
    }

    fn updated(spec: &ClusterSpec, update: UpdateCluster) -> Result<ClusterSpec, AppError> {
        updated_spec((spec, Generation::FIRST), update, &Catalogue::embedded().unwrap())
    }

    fn refused(spec: Result<ClusterSpec, AppError>) -> String {
        match spec {
            Err(AppError::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        for (typed, field) in [
            (vec!["a=1", "a=2"], "worker_queues[1].name"),
            (vec!["a=1,concurrency=0"], "worker_queues[0].concurrency"),
            (vec!["a=1,concurrency=65"], "worker_queues[0].concurrency"),
            (vec!["a=1", "b=21"], "worker_queues[1].max"),
            (vec!["a=2..1"], "worker_queues[0].min"),
            (vec!["a=1,instance_type=big"], "worker_queues[0].instance_type"),
        ] {
            assert_eq!(refused(asked(&typed)), field, "{typed:?}");
        }
        let many: Vec<_> = (0..11).map(|n| format!("q{n}=1")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(refused(asked(&many)), "worker_queues");
    }

    #[test]
    fn workers_are_those_of_default_wherever_they_are_said() {
        let spec = asked(&["heavy=3,concurrency=1"]).unwrap();
        let shown: Vec<_> = spec.queues().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["default=1,concurrency=2", "heavy=3,concurrency=1"]);
        assert_eq!(spec.most_nodes(), 6);

        let spec = asked(&["heavy=0", "default=4,concurrency=8"]).unwrap();
        assert_eq!((spec.workers, spec.worker_concurrency), (4, 8));
        assert_eq!(spec.queues()[0].to_string(), "default=4,concurrency=8");
    }

    #[test]
    fn the_size_of_default_is_said_once() {
        let spec = asked(&["default=4"]).unwrap();
        let three = || UpdateCluster {
            workers: Some(3),
            ..UpdateCluster::default()
        };
        assert_eq!(refused(updated(&spec, three())), "workers");
        let elsewhere = UpdateCluster {
            worker_queues: Some(queues(&["heavy=1"])),
            ..three()
        };
        assert_eq!(updated(&spec, elsewhere).unwrap().most_nodes(), 6);
        let kept = updated(&spec, UpdateCluster::default()).unwrap();
        assert_eq!(kept.worker_queues, spec.worker_queues);
    }

    #[test]
    fn machines_are_chosen_only_where_there_are_some() {
        let spec = asked(&["a=1", "b=1,instance_type=r7i.xlarge"]).unwrap();
        assert!(check_machines(&spec, true).is_ok());
        let refused = check_machines(&spec, false).unwrap_err().to_string();
        assert!(refused.contains("worker_queues[1].instance_type"), "{refused}");
    }
}
