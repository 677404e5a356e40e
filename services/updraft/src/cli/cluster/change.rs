//! Verbs that change a cluster as a whole.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use updraft_api::rest::{ClusterView, UpdateCluster};
use updraft_client::Client;
use updraft_model::{FolderSource, WorkerQueue};

use super::Changed;
use super::environment::EnvironmentArgs;
use super::logs::LogsArgs;
use super::metadata::MetadataArgs;
use super::schedule::ScheduleArgs;
use super::settings::SettingsArgs;
use crate::cli::args::{Global, Waiting, parse_option, parse_tag};
use crate::cli::error::{CliError, Exit};
use crate::cli::{resolve, wait};

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct UpdateArgs {
    /// Name or id
    cluster: String,
    /// Worker nodes, 0 to 20
    #[arg(long, value_name = "N", group = "change")]
    workers: Option<u32>,
    /// Tasks that one worker node runs at once, 1 to 64
    #[arg(long, value_name = "N", group = "change")]
    worker_concurrency: Option<u32>,
    /// A queue with workers of its own, as for create; may be given several times. Together they replace all that were set
    #[arg(
        long = "worker-queue",
        value_name = "NAME=MIN..MAX[,concurrency=N][,instance_type=TYPE]",
        group = "change"
    )]
    worker_queues: Vec<WorkerQueue>,
    /// Take all queues away but `default`, whose size --workers says
    #[arg(long, conflicts_with = "worker_queues", group = "change")]
    no_worker_queues: bool,
    /// Where DAGs come from, as for create; may be given several times. Together they replace all that were set
    #[arg(long, value_name = "[FOLDER=]SOURCE", group = "change")]
    dags: Vec<FolderSource>,
    /// An Airflow option; may be given several times. Together they replace all that were set
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = parse_option, group = "change")]
    config: Vec<(String, String)>,
    /// Go back to the runtime's own options
    #[arg(long, conflicts_with = "config", group = "change")]
    no_config: bool,
    /// A tag that access rules can go by; may be given several times. Together they replace all that were set
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag, group = "change")]
    tags: Vec<(String, String)>,
    /// Take all tags away
    #[arg(long, conflicts_with = "tags", group = "change")]
    no_tags: bool,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    logs: LogsArgs,
    #[command(flatten)]
    schedule: ScheduleArgs,
    #[command(flatten)]
    metadata: MetadataArgs,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Name or id
    cluster: String,
    /// Do not ask for the cluster's name
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
}

pub(super) async fn update(client: &Client, args: UpdateArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    let replaces_config = args.no_config || !args.config.is_empty();
    let replaces_queues = args.no_worker_queues || !args.worker_queues.is_empty();
    let replaces_tags = args.no_tags || !args.tags.is_empty();
    let change = UpdateCluster {
        broker: None,
        aws_account: None,
        workers: args.workers,
        worker_concurrency: args.worker_concurrency,
        worker_queues: replaces_queues.then_some(args.worker_queues),
        dag_sources: (!args.dags.is_empty()).then_some(args.dags),
        config: replaces_config.then(|| args.config.into_iter().collect()),
        environment: args.environment.asked(&cluster.spec.environment)?,
        environment_variables: args.settings.variables(),
        bootstrap: args.settings.bootstrap()?,
        schedule: args.schedule.asked(&cluster.spec.schedule),
        stop_when_idle: args.schedule.idle(),
        on_stop: args.schedule.on_stop(),
        logs: args.logs.asked(&cluster.spec.logs)?,
        metadata_dsn: args.metadata.dsn()?,
        metadata_ca: args.metadata.authority()?,
        tags: replaces_tags.then(|| args.tags.into_iter().collect()),
    };
    let accepted = client
        .update_cluster(cluster.id, cluster.generation, &change)
        .await?;
    wait::conclude(client, accepted, &args.waiting, global).await
}

pub(super) async fn start(client: &Client, args: &Changed, global: &Global) -> Result<(), CliError> {
    let id = resolve::cluster(client, &args.cluster).await?.id;
    wait::conclude(client, client.start_cluster(id).await?, &args.waiting, global).await
}

pub(super) async fn stop(client: &Client, args: &Changed, global: &Global) -> Result<(), CliError> {
    let id = resolve::cluster(client, &args.cluster).await?.id;
    wait::conclude(client, client.stop_cluster(id).await?, &args.waiting, global).await
}

pub(super) async fn restart(client: &Client, args: &Changed, global: &Global) -> Result<(), CliError> {
    let id = resolve::cluster(client, &args.cluster).await?.id;
    wait::conclude(client, client.restart_cluster(id).await?, &args.waiting, global).await
}

pub(super) async fn rotate_keys(client: &Client, args: &Changed, global: &Global) -> Result<(), CliError> {
    let id = resolve::cluster(client, &args.cluster).await?.id;
    wait::conclude(client, client.rotate_keys(id).await?, &args.waiting, global).await
}

pub(super) async fn delete(client: &Client, args: &DeleteArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    if !args.yes {
        confirm(&cluster)?;
    }
    wait::conclude(
        client,
        client.delete_cluster(cluster.id).await?,
        &args.waiting,
        global,
    )
    .await
}

fn confirm(cluster: &ClusterView) -> Result<(), CliError> {
    let name = &cluster.name;
    if !io::stdin().is_terminal() {
        return Err(
            CliError::new(Exit::Usage, format!("deleting `{name}` needs a confirmation"))
                .why("there is no terminal to ask on")
                .next("add --yes"),
        );
    }
    let ask = || -> io::Result<String> {
        let lost = match cluster.spec.metadata_database {
            None => "its database, DAGs and logs will be lost for good",
            Some(_) => "its DAGs and logs will be lost for good; your own metadata database stays as it is",
        };
        write!(
            io::stderr(),
            "Deleting `{name}` (id {}): {lost}.\nType its name to go on: ",
            cluster.id
        )?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    };
    let typed = ask().map_err(|error| CliError::io("no confirmation could be read", &error))?;
    if typed.trim() == name.as_str() {
        Ok(())
    } else {
        Err(CliError::new(Exit::Failure, format!("`{name}` was not deleted")).why("the name did not match"))
    }
}
