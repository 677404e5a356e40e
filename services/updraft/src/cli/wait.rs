//! Waits for an operation's end, showing its steps.

use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep};
use updraft_api::rest::{Accepted, OperationView};
use updraft_client::{Client, ClientError};
use updraft_model::{OperationState, StepState};

use super::args::{Format, Global, Waiting};
use super::error::{CliError, Exit};
use super::output;
use super::progress::Progress;

const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// The end of every verb that changes a cluster: wait if asked to, then print.
pub(super) async fn conclude(
    client: &Client,
    mut accepted: Accepted,
    waiting: &Waiting,
    global: &Global,
) -> Result<(), CliError> {
    if waiting.wait {
        accepted.operation = until_ended(client, accepted.operation, waiting.timeout).await?;
        match client.cluster(accepted.cluster.id).await {
            Ok(cluster) => accepted.cluster = cluster,
            // Deleted: the last that was known of it is printed.
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match global.output {
        Format::Json => output::json(&accepted)?,
        Format::Table => output::print(&sentence(&accepted, waiting.wait))?,
    }
    verdict(&accepted)
}

async fn until_ended(
    client: &Client,
    first: OperationView,
    limit: Duration,
) -> Result<OperationView, CliError> {
    let deadline = Instant::now() + limit;
    let mut progress = Progress::on_stderr();
    let mut operation = first;
    loop {
        progress.show(&operation, Utc::now());
        if operation.state != OperationState::Running {
            return Ok(operation);
        }
        if Instant::now() >= deadline {
            return Err(out_of_time(&operation, limit));
        }
        tokio::select! {
            () = sleep(BETWEEN_LOOKS) => {}
            _ = tokio::signal::ctrl_c() => return Err(interrupted(&operation)),
        }
        operation = look_again(client, operation).await?;
    }
}

/// A server that is away for a moment does not end the operation: it is asked again until the time is up.
async fn look_again(client: &Client, known: OperationView) -> Result<OperationView, ClientError> {
    match client.operation(known.id).await {
        Err(error) if error.is_transient() => Ok(known),
        answer => answer,
    }
}

fn verdict(accepted: &Accepted) -> Result<(), CliError> {
    let operation = &accepted.operation;
    let name = &accepted.cluster.name;
    let failed = |what: String| CliError::new(Exit::OperationFailed, what);
    match operation.state {
        OperationState::Running | OperationState::Succeeded => Ok(()),
        OperationState::Superseded => Err(failed(format!(
            "a newer change of `{name}` took over before this one ended"
        ))
        .next(format!("see it with `updraft cluster operations {name}`"))),
        OperationState::Failed => Err(match &operation.failure {
            Some(failure) => failed(format!("`{name}`: {}", failure.message))
                .why(failed_step(operation).unwrap_or_default())
                .next(failure.remedy.clone()),
            None => failed(format!("the operation on `{name}` failed"))
                .why(failed_step(operation).unwrap_or_default())
                .next(format!("see `updraft cluster events {name}`")),
        }),
    }
}

fn failed_step(operation: &OperationView) -> Option<String> {
    let step = operation
        .steps
        .iter()
        .find(|step| step.state == StepState::Failed)?;
    let detail = step
        .detail
        .as_ref()
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    Some(format!("step `{}`{detail}", step.title))
}

fn sentence(accepted: &Accepted, waited: bool) -> String {
    let cluster = &accepted.cluster;
    if waited {
        format!(
            "`{}` (id {}) is {}. {}",
            cluster.name, cluster.id, cluster.phase, cluster.airflow_url
        )
    } else {
        format!(
            "Accepted for `{}` (id {}): operation {}. Follow it with `updraft cluster show {}`.",
            cluster.name, cluster.id, accepted.operation.id, cluster.name
        )
    }
}

fn out_of_time(operation: &OperationView, limit: Duration) -> CliError {
    let running: Vec<_> = operation
        .steps
        .iter()
        .filter(|step| step.state == StepState::Running)
        .map(|step| step.title.as_str())
        .collect();
    let why = if running.is_empty() {
        String::new()
    } else {
        format!("still at: {}", running.join(", "))
    };
    CliError::new(Exit::Timeout, format!("not done after {} s", limit.as_secs()))
        .why(why)
        .next(format!(
            "the operation goes on: see `updraft cluster show {}`",
            operation.cluster
        ))
}

fn interrupted(operation: &OperationView) -> CliError {
    CliError::new(Exit::Failure, "stopped waiting").next(format!(
        "the operation goes on: see `updraft cluster show {}`",
        operation.cluster
    ))
}
