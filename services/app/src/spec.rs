//! A spec out of what a person asked for; refuses by name what is out of bounds. Pure.

use indexmap::IndexMap;
use updraft_api::rest::{NewCluster, UpdateCluster};
use updraft_model::{ClusterSpec, Generation};
use updraft_runtimes::{Catalogue, Runtime};

use crate::dags::sources;
use crate::worker_queues::{self, MAX_CONCURRENCY, MAX_WORKERS};
use crate::{AppError, bootstrap, environment, log_place, schedules, variables};

const MAX_OVERRIDES: usize = 200;
const MAX_TAGS: usize = 50;

/// The spec of a new cluster, with defaults filled in.
pub(crate) fn new_spec(new: NewCluster, runtimes: &Catalogue) -> Result<ClusterSpec, AppError> {
    let runtime = chosen_runtime(new.runtime.as_deref(), runtimes)?;
    worker_queues::check_said_once(&new.worker_queues, (new.workers, new.worker_concurrency))?;
    let spec = ClusterSpec {
        runtime: runtime.name().to_owned(),
        aws_account: new.aws_account,
        broker: new.broker,
        workers: new.workers.unwrap_or(1),
        worker_concurrency: new.worker_concurrency.unwrap_or(2),
        worker_queues: new.worker_queues,
        dag_sources: new
            .dag_sources
            .map_or_else(|| Ok(sources::default_sources()), sources::checked)?,
        config: new.config,
        environment: environment::asked(new.environment.unwrap_or_default(), None),
        environment_variables: new.environment_variables,
        bootstrap: new.bootstrap.unwrap_or_default().asked_at(Generation::FIRST),
        schedule: new.schedule,
        stop_when_idle: new.stop_when_idle,
        on_stop: new.on_stop,
        logs: new.logs.unwrap_or_default(),
        metadata_database: None,
        tags: new.tags,
    };
    check(&spec, runtime)?;
    Ok(worker_queues::settled(spec))
}

/// The spec after an update; what is absent stays.
pub(crate) fn updated_spec(
    (spec, generation): (&ClusterSpec, Generation),
    update: UpdateCluster,
    runtimes: &Catalogue,
) -> Result<ClusterSpec, AppError> {
    if update.aws_account.is_some() && update.aws_account != spec.aws_account {
        let why =
            "a cluster stays in the account that it was made in: make another cluster in the other account";
        return Err(AppError::invalid("aws_account", why));
    }
    if update.broker.is_some_and(|asked| asked != spec.broker) {
        let why =
            "a cluster keeps the broker that it was made with: make another cluster with the other broker";
        return Err(AppError::invalid("broker", why));
    }
    let queues = update.worker_queues.as_ref().unwrap_or(&spec.worker_queues);
    worker_queues::check_said_once(queues, (update.workers, update.worker_concurrency))?;
    let spec = ClusterSpec {
        runtime: spec.runtime.clone(),
        aws_account: spec.aws_account.clone(),
        broker: spec.broker,
        workers: update.workers.unwrap_or(spec.workers),
        worker_concurrency: update.worker_concurrency.unwrap_or(spec.worker_concurrency),
        worker_queues: update.worker_queues.unwrap_or_else(|| spec.worker_queues.clone()),
        dag_sources: update
            .dag_sources
            .map_or_else(|| Ok(spec.dag_sources.clone()), sources::checked)?,
        config: update.config.unwrap_or_else(|| spec.config.clone()),
        environment: update.environment.map_or_else(
            || spec.environment.clone(),
            |asked| environment::asked(asked, Some(&spec.environment)),
        ),
        environment_variables: update
            .environment_variables
            .unwrap_or_else(|| spec.environment_variables.clone()),
        bootstrap: update.bootstrap.map_or_else(
            || spec.bootstrap.clone(),
            |asked| asked.asked_at(generation.next()),
        ),
        schedule: update.schedule.unwrap_or_else(|| spec.schedule.clone()),
        stop_when_idle: update.stop_when_idle.unwrap_or(spec.stop_when_idle),
        on_stop: update.on_stop.or(spec.on_stop),
        logs: update.logs.unwrap_or_else(|| spec.logs.clone()),
        metadata_database: spec.metadata_database.clone(),
        tags: update.tags.unwrap_or_else(|| spec.tags.clone()),
    };
    check(&spec, chosen_runtime(Some(&spec.runtime), runtimes)?)?;
    Ok(worker_queues::settled(spec))
}

fn chosen_runtime<'a>(name: Option<&str>, runtimes: &'a Catalogue) -> Result<&'a Runtime, AppError> {
    let known = || runtimes.names().collect::<Vec<_>>().join("`, `");
    let found = name.map_or_else(|| runtimes.newest(), |name| runtimes.get(name));
    found.ok_or_else(|| AppError::invalid("runtime", format!("choose one of `{}`", known())))
}

fn check(spec: &ClusterSpec, runtime: &Runtime) -> Result<(), AppError> {
    if spec.workers > MAX_WORKERS {
        return Err(AppError::invalid(
            "workers",
            format!("a cluster has 0 to {MAX_WORKERS} workers"),
        ));
    }
    if !(1..=MAX_CONCURRENCY).contains(&spec.worker_concurrency) {
        let why = format!("one worker runs 1 to {MAX_CONCURRENCY} tasks at once");
        return Err(AppError::invalid("worker_concurrency", why));
    }
    worker_queues::check(&spec.worker_queues)?;
    schedules::check(&spec.schedule)?;
    environment::check(&spec.environment)?;
    bootstrap::check(&spec.bootstrap)?;
    variables::check(spec, runtime)?;
    log_place::check(&spec.logs)?;
    check_tags(&spec.tags)?;
    check_config(&spec.config, runtime)
}

fn check_tags(tags: &IndexMap<String, String>) -> Result<(), AppError> {
    if tags.len() > MAX_TAGS {
        return Err(AppError::invalid(
            "tags",
            format!("a cluster has at most {MAX_TAGS} tags"),
        ));
    }
    let wrong = tags.iter().find_map(|(key, value)| {
        let why = tag_fault(key, value)?;
        Some(AppError::invalid(format!("tags.{}", shown(key)), why))
    });
    wrong.map_or(Ok(()), Err)
}

/// What is wrong with a tag: rules and clusters are held to the same bounds.
pub(crate) fn tag_fault(key: &str, value: &str) -> Option<&'static str> {
    let plain = |text: &str| !text.chars().any(char::is_control) && text.trim() == text;
    if !(1..=64).contains(&key.chars().count()) || !plain(key) || key.contains('=') {
        return Some("a tag's key has 1 to 64 printable characters, no `=`, and no space at its ends");
    }
    if value.chars().count() > 128 || !plain(value) {
        return Some("a tag's value has up to 128 printable characters and no space at its ends");
    }
    None
}

/// As much of what was sent as names it.
fn shown(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn check_config(config: &IndexMap<String, String>, runtime: &Runtime) -> Result<(), AppError> {
    if config.len() > MAX_OVERRIDES {
        return Err(AppError::invalid(
            "config",
            format!("set at most {MAX_OVERRIDES} options"),
        ));
    }
    runtime
        .check_overrides(config)
        .map_err(|error| AppError::invalid(format!("config.{}", error.key()), error.to_string()))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use updraft_api::rest::{NewCluster, UpdateCluster};
    use updraft_model::Generation;
    use updraft_runtimes::Catalogue;

    use super::{new_spec, updated_spec};
    use crate::AppError;

    fn asked(change: impl FnOnce(&mut NewCluster)) -> NewCluster {
        let mut new: NewCluster = serde_json::from_str(r#"{"name":"demo"}"#).unwrap();
        change(&mut new);
        new
    }

    fn refused_field(new: NewCluster) -> String {
        match new_spec(new, &Catalogue::embedded().unwrap()) {
            Err(AppError::Invalid { field, why }) => {
                assert!(!why.is_empty());
                field
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    fn overrides(key: &str, value: &str) -> IndexMap<String, String> {
        IndexMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_name_is_enough() {
        let spec = new_spec(asked(|_| {}), &Catalogue::embedded().unwrap()).unwrap();
        assert_eq!(
            (spec.runtime.as_str(), spec.workers, spec.worker_concurrency),
            ("airflow-3.3.2", 1, 2)
        );
        assert_eq!(spec.dag_sources, crate::dags::sources::default_sources());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        assert_eq!(refused_field(asked(|n| n.workers = Some(21))), "workers");
        assert_eq!(
            refused_field(asked(|n| n.worker_concurrency = Some(0))),
            "worker_concurrency"
        );
        assert_eq!(
            refused_field(asked(|n| n.worker_concurrency = Some(65))),
            "worker_concurrency"
        );
        assert_eq!(
            refused_field(asked(|n| n.runtime = Some("airflow-1".into()))),
            "runtime"
        );
        let unknown = overrides("core.paralelism", "4");
        assert_eq!(
            refused_field(asked(|n| n.config = unknown)),
            "config.core.paralelism"
        );
        let managed = overrides("core.executor", "LocalExecutor");
        assert_eq!(
            refused_field(asked(|n| n.config = managed)),
            "config.core.executor"
        );
        let mistyped = overrides("core.parallelism", "many");
        assert_eq!(
            refused_field(asked(|n| n.config = mistyped)),
            "config.core.parallelism"
        );
    }

    #[test]
    fn tags_are_few_short_and_printable() {
        let tags = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            asked(|new| new.tags = tags.collect())
        };
        let long = "x".repeat(129);
        for (bad, field) in [
            (tags(&[("", "x")]), "tags."),
            (tags(&[("a\n", "x")]), "tags.a"),
            (tags(&[("a=b", "x")]), "tags.a=b"),
            (tags(&[("env", " prod")]), "tags.env"),
            (tags(&[("env", "a\u{7}")]), "tags.env"),
            (tags(&[("env", &long)]), "tags.env"),
        ] {
            assert_eq!(refused_field(bad), field);
        }
        let many: Vec<_> = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(
            refused_field(asked(|new| new.tags = many.into_iter().collect())),
            "tags"
        );

        let runtimes = Catalogue::embedded().unwrap();
        let spec = new_spec(tags(&[("env", "prod"), ("größe", "")]), &runtimes).unwrap();
        assert_eq!(spec.tags["env"], "prod");
        let kept = updated_spec((&spec, Generation::FIRST), UpdateCluster::default(), &runtimes).unwrap();
        assert_eq!(kept.tags, spec.tags);
    }

    #[test]
    fn the_bounds_themselves_are_fine() {
        let runtimes = Catalogue::embedded().unwrap();
        for (workers, concurrency) in [(0, 1), (20, 64)] {
            let new = asked(|n| (n.workers, n.worker_concurrency) = (Some(workers), Some(concurrency)));
            assert!(new_spec(new, &runtimes).is_ok());
        }
    }

    #[test]
    fn an_update_leaves_alone_what_it_does_not_name() {
        let runtimes = Catalogue::embedded().unwrap();
        let new = asked(|n| n.config = overrides("core.parallelism", "4"));
        let spec = new_spec(new, &runtimes).unwrap();
        let update = UpdateCluster {
            workers: Some(3),
            ..UpdateCluster::default()
        };
        let updated = updated_spec((&spec, Generation::FIRST), update, &runtimes).unwrap();
        assert_eq!((updated.workers, updated.worker_concurrency), (3, 2));
        assert_eq!(updated.config, spec.config);
        assert_eq!(updated.dag_sources, spec.dag_sources);
    }

    #[test]
    fn an_update_replaces_all_sources() {
        let runtimes = Catalogue::embedded().unwrap();
        let spec = new_spec(asked(|_| {}), &runtimes).unwrap();
        let update: UpdateCluster =
            serde_json::from_str(r#"{"dag_sources":[{"folder":"a","source":{"kind":"push"}}]}"#).unwrap();
        let updated = updated_spec((&spec, Generation::FIRST), update, &runtimes).unwrap();
        assert_eq!(updated.dag_sources.len(), 1);
        assert_eq!(updated.dag_sources[0].folder.as_str(), "a");
    }
}
