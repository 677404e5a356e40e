//! `updraft dags …`: push DAGs, see how far they came, go back to an earlier version.

mod hooks;
mod pack;
mod receipt;

use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, Subcommand};
use updraft_api::dags::{DagState, RollBack, short};
use updraft_api::rest::{ClusterView, EnvironmentState};
use updraft_client::Client;
use updraft_model::DagFolder;

use super::args::{Format, Global, Waiting};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, resolve, session};

#[derive(Debug, Subcommand)]
pub(crate) enum DagsCommand {
    /// Push a directory: it becomes the cluster's DAGs
    #[command(after_help = help::DAGS_PUSH)]
    Push(PushArgs),
    /// Have the sources looked at now
    #[command(after_help = help::DAGS_SYNC)]
    Sync(Asked),
    /// Show sources, the live version and its receipt
    #[command(after_help = help::DAGS)]
    Status(On),
    /// List the versions that can be rolled back to
    #[command(after_help = help::DAGS)]
    Versions(On),
    /// Go back to an earlier version, and stay there
    #[command(after_help = help::DAGS_ROLLBACK)]
    Rollback(RollBackArgs),
    /// Follow the sources again
    #[command(after_help = help::DAGS_ROLLBACK)]
    Follow(Asked),
    /// Webhooks: let a git server tell of a push
    #[command(after_help = help::DAGS_HOOK)]
    Hook {
        #[command(subcommand)]
        command: hooks::HookCommand,
    },
}

#[derive(Args, Debug)]
pub(crate) struct On {
    /// Name or id [default: the only cluster there is]
    #[arg(long, short)]
    cluster: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Asked {
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The directory; all of it becomes the folder's content
    directory: PathBuf,
    #[command(flatten)]
    on: On,
    /// One of the cluster's folders [default: the top]
    #[arg(long, default_value = "", hide_default_value = true)]
    folder: DagFolder,
    /// What receipts say of it
    #[arg(long, short)]
    message: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args, Debug)]
pub(crate) struct RollBackArgs {
    /// The version's digest, or its first six characters or more
    digest: String,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    waiting: Waiting,
}

// === impl DagsCommand ===

impl DagsCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Push(args) => push(client, args, global).await,
            Self::Sync(args) => {
                let cluster = args.on.cluster(client).await?;
                let sync = client.sync_dags(cluster.id).await?.sync;
                receipt::conclude(client, &cluster, sync, &args.waiting, global).await
            }
            Self::Status(args) => status(client, &args, global).await,
            Self::Versions(args) => versions(client, &args, global).await,
            Self::Rollback(args) => {
                let cluster = args.on.cluster(client).await?;
                let to = RollBack { digest: args.digest };
                let sync = client.roll_back_dags(cluster.id, &to).await?.sync;
                receipt::conclude(client, &cluster, sync, &args.waiting, global).await
            }
            Self::Follow(args) => {
                let cluster = args.on.cluster(client).await?;
                let sync = client.follow_dags(cluster.id).await?.sync;
                receipt::conclude(client, &cluster, sync, &args.waiting, global).await
            }
            Self::Hook { command } => command.run(client, global).await,
        }
    }
}

// === impl On ===

impl On {
    async fn cluster(&self, client: &Client) -> Result<ClusterView, CliError> {
        if let Some(given) = &self.cluster {
            return resolve::cluster(client, given).await;
        }
        let mut clusters = client.clusters().await?;
        match (clusters.pop(), clusters.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(CliError::new(
                Exit::NotFound,
                "there is no cluster that you may see",
            )),
            (Some(_), false) => Err(CliError::new(Exit::Usage, "there are several clusters")
                .next("name one with --cluster; `updraft cluster list` shows them")),
        }
    }
}

async fn push(client: &Client, args: PushArgs, global: &Global) -> Result<(), CliError> {
    let cluster = args.on.cluster(client).await?;
    let archive = pack::packed(&args.directory)?;
    let pushed = client
        .push_dags(cluster.id, &args.folder, args.message.as_deref(), archive)
        .await?;
    eprintln!(
        "Pushed {} files ({} bytes) to `{}`: {}",
        pushed.files,
        pushed.bytes,
        cluster.name,
        short(&pushed.revision)
    );
    receipt::conclude(client, &cluster, pushed.sync, &args.waiting, global).await
}

async fn status(client: &Client, args: &On, global: &Global) -> Result<(), CliError> {
    let cluster = args.cluster(client).await?;
    let state = client.dags(cluster.id).await?;
    if global.output == Format::Json {
        return output::json(&state);
    }
    for one in &state.sources {
        let folder = if one.folder.is_top() {
            "(top)"
        } else {
            one.folder.as_str()
        };
        let trouble = one
            .trouble
            .as_ref()
            .map(|why| format!("\n  {why}"))
            .unwrap_or_default();
        output::print(&format!("{folder}: {}{trouble}", one.source))?;
    }
    output::print(&said(&state))?;
    receipt::errors_of(&state)
        .iter()
        .try_for_each(|line| output::print(line))
}

fn said(state: &DagState) -> String {
    let pinned = state.pinned.as_ref().map_or_else(String::new, |digest| {
        format!(
            "\nRolled back to {}: `updraft dags follow` ends that.",
            short(digest)
        )
    });
    let live = match (&state.live, &state.current) {
        (Some(live), _) => live.receipt(state.nodes_on_live, state.nodes),
        (None, Some(digest)) => format!(
            "version {}, on {}/{} nodes",
            short(digest),
            state.nodes_on_live,
            state.nodes
        ),
        (None, None) => "No version is live yet.".to_owned(),
    };
    let packages = state.environment.as_ref().map(|change| {
        let failure = change.failure.as_ref();
        let why = failure.map_or_else(String::new, |failure| format!(": {}", failure.message));
        let state = match change.state {
            EnvironmentState::Building => "are being built",
            EnvironmentState::RollingOut => "are being rolled out",
            EnvironmentState::Refused => "were refused",
        };
        format!("\nPackages and plugins that it brings {state}{why}")
    });
    live + &pinned + &packages.unwrap_or_default()
}

async fn versions(client: &Client, args: &On, global: &Global) -> Result<(), CliError> {
    let cluster = args.cluster(client).await?;
    let versions = client.dag_versions(cluster.id).await?;
    if global.output == Format::Json {
        return output::json(&versions);
    }
    let (state, now) = (client.dags(cluster.id).await?, Utc::now());
    let mut table = Table::new(["VERSION", "AGE", "FILES", "DAGS", "ERRORS", "OF", "NOW"]);
    for version in &versions {
        let parsed = version.parsed.as_ref();
        let number =
            |number: Option<usize>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let marks = [
            (state.current.as_ref() == Some(&version.digest), "live"),
            (state.pinned.as_ref() == Some(&version.digest), "rolled back to"),
        ];
        let marks = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark);
        let of = version.sources.iter().map(|source| {
            let author = source.author.as_deref().map(|author| format!(" by {author}"));
            short(&source.revision) + &author.unwrap_or_default()
        });
        table.row([
            short(&version.digest),
            output::age(now, version.published_at),
            version.files.to_string(),
            number(parsed.and_then(|parsed| usize::try_from(parsed.dags).ok())),
            number(parsed.map(|parsed| parsed.import_errors.len())),
            of.collect::<Vec<_>>().join(", "),
            marks.collect::<Vec<_>>().join(", "),
        ]);
    }
    output::print(&table.render())
}
