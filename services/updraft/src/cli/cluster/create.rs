//! `updraft cluster create`

use clap::Args;
use indexmap::IndexMap;
use updraft_api::rest::NewCluster;
use updraft_client::{Client, IdempotencyKey};
use updraft_model::{
    AwsAccountName, Broker, ClusterName, EnvironmentSpec, FolderSource, LogsSpec, Schedule, WorkerQueue,
};

use super::environment::EnvironmentArgs;
use super::logs::LogsArgs;
use super::metadata::MetadataArgs;
use super::schedule::ScheduleArgs;
use super::settings::SettingsArgs;
use crate::cli::args::{Global, Waiting, parse_option, parse_tag};
use crate::cli::error::CliError;
use crate::cli::wait;

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// 1 to 40 of a-z, 0-9 and `-`, beginning with a letter
    name: ClusterName,
    /// Airflow release, for example airflow-3.3.2 [default: the newest]
    #[arg(long)]
    runtime: Option<String>,
    /// The organisation's AWS account that its nodes are in; it stays [default: the installation's own, or the only one]
    #[arg(long, value_name = "NAME")]
    aws_account: Option<AwsAccountName>,
    /// What carries its tasks to its workers, valkey or rabbitmq; it stays [default: valkey]
    #[arg(long, value_name = "BROKER")]
    broker: Option<Broker>,
    /// Worker nodes, 0 to 20 [default: 1]
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Tasks that one worker node runs at once, 1 to 64 [default: 2]
    #[arg(long, value_name = "N")]
    worker_concurrency: Option<u32>,
    /// A queue with workers of its own, as many as its tasks need: heavy=0..4, or heavy=2 for always two; may be given
    /// several times
    #[arg(
        long = "worker-queue",
        value_name = "NAME=MIN..MAX[,concurrency=N][,instance_type=TYPE]"
    )]
    worker_queues: Vec<WorkerQueue>,
    /// Where DAGs come from: push, bucket:PREFIX, s3://BUCKET/PREFIX#region=REGION or git+https://HOST/PATH@REF#path=DIR;
    /// may be given several times, each with FOLDER= in front [default: bucket:dags/]
    #[arg(long, value_name = "[FOLDER=]SOURCE")]
    dags: Vec<FolderSource>,
    /// An Airflow option; may be given several times
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = parse_option)]
    config: Vec<(String, String)>,
    /// A tag that access rules can go by; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
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
    /// Create it stopped
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    waiting: Waiting,
}

pub(super) async fn create(client: &Client, args: CreateArgs, global: &Global) -> Result<(), CliError> {
    let new = NewCluster {
        name: args.name,
        runtime: args.runtime,
        aws_account: args.aws_account,
        broker: args.broker.unwrap_or_default(),
        workers: args.workers,
        worker_concurrency: args.worker_concurrency,
        worker_queues: args.worker_queues,
        dag_sources: (!args.dags.is_empty()).then_some(args.dags),
        config: args.config.into_iter().collect::<IndexMap<_, _>>(),
        environment: args.environment.asked(&EnvironmentSpec::default())?,
        environment_variables: args.settings.variables().unwrap_or_default(),
        bootstrap: args.settings.bootstrap()?,
        schedule: args.schedule.asked(&Schedule::default()).unwrap_or_default(),
        stop_when_idle: args.schedule.idle().unwrap_or_default(),
        on_stop: args.schedule.on_stop(),
        logs: args.logs.asked(&LogsSpec::default())?,
        metadata_dsn: args.metadata.dsn()?,
        metadata_ca: args.metadata.authority()?,
        tags: args.tags.into_iter().collect(),
        start: Some(!args.no_start),
    };
    let accepted = client.create_cluster(&new, IdempotencyKey::random()).await?;
    wait::conclude(client, accepted, &args.waiting, global).await
}
