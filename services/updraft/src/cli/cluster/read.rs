//! Verbs that look at a cluster.

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;
use updraft_api::rest::{AgentView, ClusterView, NodeView, OperationView};
use updraft_client::Client;
use updraft_model::{Phase, StepState, WorkerQueue};

use super::Named;
use crate::cli::args::{Format, Global};
use crate::cli::error::CliError;
use crate::cli::output::{self, Table, age, or_dash};
use crate::cli::{open as browser, resolve};

#[derive(Args, Debug)]
pub(crate) struct OpenArgs {
    /// Name or id
    cluster: String,
    /// Only print the address
    #[arg(long)]
    print: bool,
}

pub(super) async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let clusters = client.clusters().await?;
    match global.output {
        Format::Json => output::json(&clusters),
        Format::Table => output::print(&table(&clusters)),
    }
}

pub(super) async fn show(client: &Client, args: &Named, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    match global.output {
        Format::Json => output::json(&cluster),
        Format::Table => output::print(&details(&cluster, Utc::now())),
    }
}

pub(super) async fn open(client: &Client, args: &OpenArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    if !args.print {
        browser::in_browser(&cluster.airflow_url);
    }
    match global.output {
        Format::Json => output::json(&json!({"airflow_url": cluster.airflow_url})),
        Format::Table => output::print(&cluster.airflow_url),
    }
}

#[derive(Args, Debug)]
pub(crate) struct BootLogArgs {
    /// Name or id
    cluster: String,
    /// The node's name (worker-1: the newest in that place, gone or not) or id
    node: String,
}

pub(super) async fn boot_log(client: &Client, args: &BootLogArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    let log = client.boot_log(cluster.id, &args.node).await?;
    match global.output {
        Format::Json => output::json(&log),
        Format::Table => {
            let text = log.text.as_deref().or(log.missing.as_deref());
            output::print(text.unwrap_or_default().trim_end())
        }
    }
}

pub(super) async fn nodes(client: &Client, args: &Named, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    let nodes = client.nodes(cluster.id).await?;
    match global.output {
        Format::Json => output::json(&nodes),
        Format::Table => output::print(&node_table(&nodes, Utc::now())),
    }
}

pub(super) async fn operations(client: &Client, args: &Named, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    let operations = client.operations(cluster.id).await?;
    match global.output {
        Format::Json => output::json(&operations),
        Format::Table => output::print(&operation_table(&operations, Utc::now())),
    }
}

pub(in crate::cli) fn table(clusters: &[ClusterView]) -> String {
    if clusters.is_empty() {
        return "No cluster yet: `updraft cluster create NAME --wait` makes one.".to_owned();
    }
    let mut table = Table::new(["NAME", "ID", "PHASE", "RUNTIME", "NODES", "AIRFLOW"]);
    for cluster in clusters {
        table.row([
            cluster.name.to_string(),
            cluster.id.to_string(),
            cluster.phase.to_string(),
            cluster.spec.runtime.clone(),
            format!("{}/{}", cluster.nodes_ready, cluster.nodes_wanted),
            cluster.airflow_url.clone(),
        ]);
    }
    table.render()
}

fn details(cluster: &ClusterView, now: DateTime<Utc>) -> String {
    let mut lines = vec![
        format!("Name       {} (id {})", cluster.name, cluster.id),
        format!("Phase      {}", phase(&cluster.phase)),
        format!("Airflow    {}", cluster.airflow_url),
        format!("Runtime    {}", cluster.spec.runtime),
        format!("Broker     {}", cluster.spec.broker),
        workers(cluster),
        format!(
            "Nodes      {} of {} ready",
            cluster.nodes_ready, cluster.nodes_wanted
        ),
        format!(
            "DAGs       {} (version {})",
            cluster.dag_location,
            or_dash(cluster.dag_version.as_ref())
        ),
        format!(
            "Changed    {} ago, generation {}",
            age(now, cluster.updated_at),
            cluster.generation
        ),
    ];
    if let Some(next) = cluster.upcoming {
        let line =
            |verb: &str, at: DateTime<Utc>| format!("Schedule   {verb} at {}", at.format("%F %H:%M UTC"));
        lines.extend(next.start.map(|at| line("starts", at)));
        lines.extend(next.stop.map(|at| line("stops", at)));
        lines.extend(next.idle_stop.map(|at| line("stops unless it is used", at)));
    }
    if !cluster.spec.stop_when_idle.is_never() {
        let idle = cluster.spec.stop_when_idle;
        lines.push(format!("Idle       stops after {idle} without run or use"));
    }
    lines.extend(packages(cluster));
    let database = cluster.spec.metadata_database.iter();
    lines.extend(database.map(|database| format!("Metadata   {database}")));
    lines.extend(cluster.operation.map(|id| format!("Operation  {id}")));
    lines.extend(
        cluster
            .spec
            .config
            .iter()
            .map(|(key, value)| format!("Option     {key} = {value}")),
    );
    let variables = cluster.spec.environment_variables.iter();
    lines.extend(variables.map(|(name, value)| format!("Variable   {name}={value}")));
    let script = cluster.spec.bootstrap.script.iter();
    lines.extend(script.map(|script| format!("Bootstrap  {script}")));
    lines.extend(
        cluster
            .spec
            .tags
            .iter()
            .map(|(key, value)| format!("Tag        {key}={value}")),
    );
    lines.join("\n")
}

/// A line for each queue, or one where there is but `default`.
fn workers(cluster: &ClusterView) -> String {
    let queues = cluster.spec.queues();
    let line = |queue: &WorkerQueue| {
        let machine = queue.instance_type.iter().map(|machine| format!(" on {machine}"));
        let now = cluster.queues.iter().find(|now| now.name == queue.name);
        let now = now.filter(|_| queue.min < queue.max).map(|now| {
            let (ready, wanted) = (now.workers_ready, now.workers_wanted);
            format!(" ({ready} of {wanted} ready now)")
        });
        let workers = match queue.min == queue.max {
            true => queue.min.to_string(),
            false => format!("{} to {}", queue.min, queue.max),
        };
        let size = format!(
            "{workers} × {} tasks at once{}",
            queue.concurrency,
            now.unwrap_or_default()
        );
        format!("{size}{}", machine.collect::<String>())
    };
    if let [only] = queues.as_slice() {
        return format!("Workers    {}", line(only));
    }
    let lines = queues
        .iter()
        .map(|queue| format!("Queue      {}: {}", queue.name, line(queue)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The cluster's own packages, and what became of a change of them.
fn packages(cluster: &ClusterView) -> Vec<String> {
    let asked = cluster.spec.environment.lines();
    let mut lines: Vec<_> = asked.map(|(_, line)| format!("Package    {line}")).collect();
    if let Some(file) = &cluster.spec.environment.from_dags {
        let found = cluster.spec.environment.found_lines();
        lines.extend(found.map(|(_, line)| format!("Package    {line} (of `{}` in the DAGs)", file.path)));
    }
    if let Some(plugins) = &cluster.spec.environment.plugins {
        let short: String = plugins.digest.chars().take(12).collect();
        lines.push(format!("Plugins    {short} (of the DAGs)"));
    }
    let Some(change) = &cluster.environment else {
        return lines;
    };
    let of_packages = change.live.key() != cluster.spec.environment.key();
    let what = if of_packages { "Packages " } else { "Bootstrap" };
    lines.push(format!("{what}  {}", word(&change.state).replace('_', " ")));
    if let Some(failure) = &change.failure {
        let reason = format!("{}\n{}", failure.message, failure.remedy);
        lines.extend(reason.lines().map(|line| format!("           {line}")));
    }
    lines
}

fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Starting {
            waiting_for: Some(what),
        } => format!("{phase}: {what}"),
        Phase::Degraded { reasons } if !reasons.is_empty() => format!("{phase}: {}", reasons.join("; ")),
        Phase::Failed { reason } => format!("{phase}: {}. {}", reason.message, reason.remedy),
        Phase::Stopped
        | Phase::Starting { .. }
        | Phase::Running
        | Phase::Degraded { .. }
        | Phase::Stopping
        | Phase::Deleting => phase.to_string(),
    }
}

fn node_table(nodes: &[NodeView], now: DateTime<Utc>) -> String {
    let mut table = Table::new([
        "NODE",
        "QUEUE",
        "PHASE",
        "ADDRESS",
        "SERVICES",
        "CPU",
        "MEMORY",
        "LAST REPORT",
        "AGENT",
    ]);
    for node in nodes {
        let healthy = node
            .services
            .iter()
            .filter(|service| service.state.as_str() == "healthy")
            .count();
        table.row([
            node.label.clone(),
            or_dash(node.queue.as_ref()),
            match node.off {
                true => "off".to_owned(),
                false => or_dash(node.phase),
            },
            or_dash(node.address.as_ref()),
            format!("{healthy}/{} healthy", node.services.len()),
            or_dash(node.cpu_percent.map(|percent| format!("{percent:.0} %"))),
            or_dash(
                node.memory_bytes
                    .map(|bytes| format!("{} MiB", bytes / (1 << 20))),
            ),
            or_dash(node.last_report_at.map(|at| format!("{} ago", age(now, at)))),
            or_dash(node.agent.as_ref().map(AgentView::label)),
        ]);
    }
    table.render()
}

fn operation_table(operations: &[OperationView], now: DateTime<Utc>) -> String {
    let mut table = Table::new(["OPERATION", "KIND", "STATE", "STEPS", "TOOK", "BEGUN", "BY"]);
    for operation in operations {
        let done = operation
            .steps
            .iter()
            .filter(|step| step.state == StepState::Done)
            .count();
        table.row([
            operation.id.to_string(),
            word(&operation.kind),
            word(&operation.state),
            format!("{done}/{}", operation.steps.len()),
            age(operation.finished_at.unwrap_or(now), operation.created_at),
            format!("{} ago", age(now, operation.created_at)),
            or_dash(operation.requested_by.as_ref()),
        ]);
    }
    table.render()
}

/// An enum's wire spelling.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
