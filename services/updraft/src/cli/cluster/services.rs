//! `updraft cluster services …`

use chrono::Utc;
use clap::{Args, Subcommand};
use updraft_api::rest::{ServiceVerb, ServiceView};
use updraft_client::Client;
use updraft_model::ServiceName;

use crate::cli::args::{Format, Global, Waiting};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::{self, Table, age, or_dash};
use crate::cli::{help, resolve, wait};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ServicesArgs {
    /// Name or id
    #[arg(required = true)]
    cluster: Option<String>,
    #[command(subcommand)]
    verb: Option<ServicesCommand>,
}

#[derive(Debug, Subcommand)]
enum ServicesCommand {
    /// Start a service that was stopped
    #[command(after_help = help::SERVICE_VERB)]
    Start(ServiceArgs),
    /// Stop a service until it is started again
    #[command(after_help = help::SERVICE_VERB)]
    Stop(ServiceArgs),
    /// Restart a service
    #[command(after_help = help::SERVICE_VERB)]
    Restart(ServiceArgs),
}

#[derive(Args, Debug)]
struct ServiceArgs {
    /// Name or id
    cluster: String,
    /// Which service
    service: ServiceName,
    /// Only on this node (label or id) [default: every node that has it]
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

pub(super) async fn services(client: &Client, args: ServicesArgs, global: &Global) -> Result<(), CliError> {
    match (args.verb, args.cluster) {
        (Some(ServicesCommand::Start(args)), _) => change(client, &args, ServiceVerb::Start, global).await,
        (Some(ServicesCommand::Stop(args)), _) => change(client, &args, ServiceVerb::Stop, global).await,
        (Some(ServicesCommand::Restart(args)), _) => {
            change(client, &args, ServiceVerb::Restart, global).await
        }
        (None, Some(cluster)) => list(client, &cluster, global).await,
        (None, None) => Err(CliError::new(Exit::Usage, "no cluster was named")),
    }
}

async fn change(
    client: &Client,
    args: &ServiceArgs,
    verb: ServiceVerb,
    global: &Global,
) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?.id;
    let node = match &args.node {
        Some(given) => Some(resolve::node(client, cluster, given).await?),
        None => None,
    };
    let accepted = client.change_service(cluster, args.service, verb, node).await?;
    wait::conclude(client, accepted, &args.waiting, global).await
}

async fn list(client: &Client, given: &str, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, given).await?.id;
    let services = client.services(cluster).await?;
    match global.output {
        Format::Json => output::json(&services),
        Format::Table => output::print(&table(&services)),
    }
}

fn table(services: &[ServiceView]) -> String {
    let now = Utc::now();
    let mut table = Table::new(["NODE", "SERVICE", "STATE", "UP", "RESTARTS", "PID", "DETAIL"]);
    for service in services {
        let status = &service.status;
        table.row([
            service.node_label.clone(),
            status.name.to_string(),
            status.state.to_string(),
            or_dash(status.started_at.map(|at| age(now, at))),
            status.restarts.to_string(),
            or_dash(status.pid),
            status.detail.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}
