//! Waits until what was asked for is on every node and Airflow has read it, and ends with the receipt.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use updraft_api::dags::{DagState, DagVersionView};
use updraft_api::rest::{ClusterView, EnvironmentState};
use updraft_client::Client;
use updraft_model::Power;

use crate::cli::args::{Format, Global, Waiting};
use crate::cli::error::{CliError, Exit};
use crate::cli::output;

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The end of every verb that asks something of a cluster's DAGs.
pub(super) async fn conclude(
    client: &Client,
    cluster: &ClusterView,
    sync: i64,
    waiting: &Waiting,
    global: &Global,
) -> Result<(), CliError> {
    if !waiting.wait {
        return match global.output {
            Format::Json => output::json(&client.dags(cluster.id).await?),
            Format::Table => output::print(&format!(
                "Asked for on `{}`. See how far it came with `updraft dags status --cluster {}`.",
                cluster.name, cluster.name
            )),
        };
    }
    if cluster.power != Power::Running {
        let what = format!(
            "`{}` is stopped: it takes its DAGs when it is started",
            cluster.name
        );
        return Err(CliError::new(Exit::OperationFailed, what)
            .next(format!("start it with `updraft cluster start {}`", cluster.name)));
    }
    let state = until_read(client, cluster, sync, waiting.timeout).await?;
    match (global.output, &state.live) {
        (Format::Json, _) => output::json(&state)?,
        (Format::Table, Some(live)) => output::print(&live.receipt(state.nodes_on_live, state.nodes))?,
        (Format::Table, None) => {}
    }
    verdict(&state)
}

async fn until_read(
    client: &Client,
    cluster: &ClusterView,
    sync: i64,
    limit: Duration,
) -> Result<DagState, CliError> {
    let deadline = Instant::now() + limit;
    loop {
        let answer = client.dags(cluster.id).await;
        match answer {
            Ok(state) => {
                if is_done(&state, sync) {
                    return Ok(state);
                }
                if Instant::now() >= deadline {
                    return Err(out_of_time(&state, sync, limit));
                }
            }
            // A server that is away for a moment ends nothing.
            Err(error) if error.is_transient() && Instant::now() < deadline => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = sleep(BETWEEN_LOOKS) => {}
            _ = tokio::signal::ctrl_c() => {
                let next = format!("it goes on: see `updraft dags status --cluster {}`", cluster.name);
                return Err(CliError::new(Exit::Failure, "stopped waiting").next(next));
            }
        }
    }
}

/// The sources were looked at, and either that went wrong or what came of it is everywhere and read.
fn is_done(state: &DagState, sync: i64) -> bool {
    let looked = state.synced.is_some_and(|synced| synced >= sync);
    let read = || state.live.as_ref().is_some_and(|live| is_read(state, live));
    looked && (troubles(state).next().is_some() || (read() && !are_packages_under_way(state)))
}

/// Files that need new packages import when those are there.
fn are_packages_under_way(state: &DagState) -> bool {
    matches!(
        state.environment.as_ref().map(|change| change.state),
        Some(EnvironmentState::Building | EnvironmentState::RollingOut)
    )
}

fn is_read(state: &DagState, live: &DagVersionView) -> bool {
    let is_meant = state.pinned.as_ref().is_none_or(|pinned| *pinned == live.digest);
    is_meant && state.nodes > 0 && state.nodes_on_live == state.nodes && live.parsed.is_some()
}

fn troubles(state: &DagState) -> impl Iterator<Item = String> {
    state.sources.iter().filter_map(|one| {
        let trouble = one.trouble.as_ref()?;
        Some(if one.folder.is_top() {
            trouble.clone()
        } else {
            format!("{}: {trouble}", one.folder)
        })
    })
}

/// Import errors of the live version, a line each: `file.py:7: message`.
pub(super) fn errors_of(state: &DagState) -> Vec<String> {
    let parsed = state.live.as_ref().and_then(|live| live.parsed.as_ref());
    let errors = parsed
        .map(|parsed| parsed.import_errors.as_slice())
        .unwrap_or_default();
    let line = |error: &updraft_api::agent::ImportError| {
        let place = error.line.map_or_else(String::new, |line| format!(":{line}"));
        let last = error.message.trim().lines().last().unwrap_or_default();
        format!("{}{place}: {last}", error.file)
    };
    errors.iter().map(line).collect()
}

fn verdict(state: &DagState) -> Result<(), CliError> {
    let failed = |what: &str| CliError::new(Exit::OperationFailed, what);
    let troubles: Vec<_> = troubles(state).collect();
    if !troubles.is_empty() {
        return Err(
            failed("a source could not be taken: the last good version keeps serving")
                .why(troubles.join("; ")),
        );
    }
    if let Some(failure) = state
        .environment
        .as_ref()
        .and_then(|change| change.failure.as_ref())
    {
        return Err(failed("packages or plugins that these DAGs bring were refused")
            .why(failure.message.clone())
            .next(failure.remedy.clone()));
    }
    let errors = errors_of(state);
    if errors.is_empty() {
        return Ok(());
    }
    let next = "correct the files and push again, or go back with `updraft dags rollback`";
    Err(failed("Airflow cannot import all files")
        .why(errors.join("\n       "))
        .next(next))
}

fn out_of_time(state: &DagState, sync: i64, limit: Duration) -> CliError {
    let why = match (&state.live, state.synced.is_some_and(|synced| synced >= sync)) {
        (_, false) => "the sources are still being looked at".to_owned(),
        (Some(live), true) => live.receipt(state.nodes_on_live, state.nodes),
        (None, true) => "no version is live yet".to_owned(),
    };
    CliError::new(Exit::Timeout, format!("not done after {} s", limit.as_secs()))
        .why(why)
        .next("it goes on: see `updraft dags status`")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use updraft_api::agent::ImportError;
    use updraft_api::dags::{DagParsed, DagSourceView};
    use updraft_api::rest::EnvironmentView;
    use updraft_model::{DagSource, Failure};

    use super::*;

    fn state(synced: Option<i64>, on: u32, errors: Option<Vec<ImportError>>) -> DagState {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        DagState {
            sources: vec![DagSourceView {
                folder: Default::default(),
                source: DagSource::Push {},
                trouble: None,
            }],
            current: Some("ab".into()),
            live: Some(DagVersionView {
                digest: "ab".into(),
                published_at: at,
                files: 1,
                bytes: 1,
                sources: Vec::new(),
                arrivals: Vec::new(),
                parsed: errors.map(|import_errors| DagParsed {
                    at,
                    dags: 1,
                    import_errors,
                }),
            }),
            pinned: None,
            nodes_on_live: on,
            nodes: 3,
            sync: 7,
            synced,
            environment: None,
        }
    }

    #[test]
    fn files_are_not_judged_before_the_packages_that_they_ask_for_are_there() {
        let with = |state_of: EnvironmentState, failure: Option<Failure>| DagState {
            environment: Some(EnvironmentView {
                state: state_of,
                live: Default::default(),
                live_bootstrap: Default::default(),
                failure,
            }),
            ..state(Some(7), 3, Some(Vec::new()))
        };
        for under_way in [EnvironmentState::Building, EnvironmentState::RollingOut] {
            assert!(!is_done(&with(under_way, None), 7));
        }
        let failure = Failure {
            code: "environment_conflict".into(),
            message: "they contradict each other".into(),
            remedy: "loosen one".into(),
        };
        let refused = with(EnvironmentState::Refused, Some(failure));
        assert!(is_done(&refused, 7));
        assert!(verdict(&refused).is_err());
    }

    #[test]
    fn it_is_done_when_all_nodes_have_it_and_airflow_read_it() {
        assert!(is_done(&state(Some(7), 3, Some(Vec::new())), 7));
        assert!(is_done(&state(Some(8), 3, Some(Vec::new())), 7));
        for not_yet in [
            state(None, 3, Some(Vec::new())),
            state(Some(6), 3, Some(Vec::new())),
            state(Some(7), 2, Some(Vec::new())),
            state(Some(7), 3, None),
            DagState {
                pinned: Some("cd".into()),
                ..state(Some(7), 3, Some(Vec::new()))
            },
        ] {
            assert!(!is_done(&not_yet, 7), "{not_yet:?}");
        }
    }

    #[test]
    fn trouble_with_a_source_ends_the_wait_and_fails() {
        let mut troubled = state(Some(7), 1, None);
        troubled.sources[0].trouble = Some("the repository is gone".into());
        assert!(is_done(&troubled, 7));
        let error = verdict(&troubled).unwrap_err();
        assert_eq!(error.exit, Exit::OperationFailed);
        assert!(error.to_string().contains("the repository is gone"));
    }

    #[test]
    fn an_import_error_fails_with_file_and_line() {
        let error = ImportError {
            file: "etl.py".into(),
            line: Some(7),
            message: "Traceback …\nImportError: no module named x\n".into(),
        };
        let state = state(Some(7), 3, Some(vec![error]));
        assert!(is_done(&state, 7));
        let error = verdict(&state).unwrap_err();
        assert_eq!(error.exit, Exit::OperationFailed);
        assert!(
            error
                .to_string()
                .contains("etl.py:7: ImportError: no module named x")
        );
        assert!(verdict(&super::tests::state(Some(7), 3, Some(Vec::new()))).is_ok());
    }
}
