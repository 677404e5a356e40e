//! `updraft cluster …`: the tree, and which file carries out which verb.

mod change;
mod create;
mod environment;
mod events;
mod logs;
mod metadata;
mod read;
mod schedule;
mod services;
mod settings;

use clap::{Args, Subcommand};

use super::args::{Global, Waiting};
use super::error::CliError;
use super::{help, session};

pub(super) use read::table;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Create a cluster and start it
    #[command(after_help = help::CREATE)]
    Create(create::CreateArgs),
    /// List the clusters that you may see
    #[command(visible_alias = "ls", after_help = help::LIST)]
    List,
    /// Show one cluster
    #[command(after_help = help::SHOW)]
    Show(Named),
    /// Change a cluster's size, packages, bootstrap script, variables, Airflow options or tags
    #[command(after_help = help::UPDATE)]
    Update(change::UpdateArgs),
    /// Start a stopped cluster
    #[command(after_help = help::START)]
    Start(Changed),
    /// Stop a cluster; nothing is lost
    #[command(after_help = help::STOP)]
    Stop(Changed),
    /// Restart every service of a cluster
    #[command(after_help = help::RESTART)]
    Restart(Changed),
    /// Rotate every key of a cluster: its nodes end and start again with other ones
    #[command(after_help = help::ROTATE_KEYS)]
    RotateKeys(Changed),
    /// Delete a cluster with all its data
    #[command(after_help = help::DELETE)]
    Delete(change::DeleteArgs),
    /// Open a cluster's Airflow in the browser
    #[command(after_help = help::OPEN)]
    Open(read::OpenArgs),
    /// Show what happened to a cluster
    #[command(after_help = help::EVENTS)]
    Events(events::EventsArgs),
    /// List a cluster's nodes
    #[command(after_help = help::NODES)]
    Nodes(Named),
    /// Show what a node's machine said while it booted
    #[command(after_help = help::BOOT_LOG)]
    BootLog(read::BootLogArgs),
    /// List a cluster's services, or start, stop and restart one
    #[command(after_help = help::SERVICES)]
    Services(services::ServicesArgs),
    /// List a cluster's operations, newest first
    #[command(after_help = help::OPERATIONS)]
    Operations(Named),
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Name or id
    pub(super) cluster: String,
}

#[derive(Args, Debug)]
pub(crate) struct Changed {
    /// Name or id
    pub(super) cluster: String,
    #[command(flatten)]
    pub(super) waiting: Waiting,
}

// === impl ClusterCommand ===

impl ClusterCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Create(args) => create::create(client, args, global).await,
            Self::List => read::list(client, global).await,
            Self::Show(args) => read::show(client, &args, global).await,
            Self::Update(args) => change::update(client, args, global).await,
            Self::Start(args) => change::start(client, &args, global).await,
            Self::Stop(args) => change::stop(client, &args, global).await,
            Self::Restart(args) => change::restart(client, &args, global).await,
            Self::RotateKeys(args) => change::rotate_keys(client, &args, global).await,
            Self::Delete(args) => change::delete(client, &args, global).await,
            Self::Open(args) => read::open(client, &args, global).await,
            Self::Events(args) => events::events(client, &args, global).await,
            Self::Nodes(args) => read::nodes(client, &args, global).await,
            Self::BootLog(args) => read::boot_log(client, &args, global).await,
            Self::Services(args) => services::services(client, args, global).await,
            Self::Operations(args) => read::operations(client, &args, global).await,
        }
    }
}
