//! `updraft dags hook …`

use clap::{Args, Subcommand};
use updraft_api::dags::PutDagHook;
use updraft_client::Client;
use updraft_model::{DagFolder, DagHookId};

use super::On;
use crate::cli::args::{Format, Global};
use crate::cli::error::CliError;
use crate::cli::help;
use crate::cli::output::{self, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum HookCommand {
    /// Make a source's webhook, or give it another secret; the secret is shown once
    #[command(after_help = help::DAGS_HOOK)]
    Create(CreateArgs),
    /// List the webhooks
    #[command(visible_alias = "ls", after_help = help::DAGS_HOOK)]
    List(On),
    /// Delete a webhook
    #[command(after_help = help::DAGS_HOOK)]
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    on: On,
    /// The source's folder [default: the top]
    #[arg(long, default_value = "", hide_default_value = true)]
    folder: DagFolder,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Its id
    hook: DagHookId,
    #[command(flatten)]
    on: On,
}

// === impl HookCommand ===

impl HookCommand {
    pub(super) async fn run(self, client: &Client, global: &Global) -> Result<(), CliError> {
        match self {
            Self::Create(args) => create(client, args, global).await,
            Self::List(args) => list(client, &args, global).await,
            Self::Delete(args) => {
                let cluster = args.on.cluster(client).await?;
                client.delete_dag_hook(cluster.id, args.hook).await?;
                output::print(&format!("Deleted the webhook {}.", args.hook))
            }
        }
    }
}

async fn create(client: &Client, args: CreateArgs, global: &Global) -> Result<(), CliError> {
    let cluster = args.on.cluster(client).await?;
    let asked = PutDagHook { folder: args.folder };
    let made = client.put_dag_hook(cluster.id, &asked).await?;
    match global.output {
        Format::Json => output::json(&made),
        Format::Table => {
            eprintln!("The secret is shown once:");
            output::print(&format!("Address: {}\nSecret:  {}", made.hook.url, made.secret))
        }
    }
}

async fn list(client: &Client, args: &On, global: &Global) -> Result<(), CliError> {
    let cluster = args.cluster(client).await?;
    let hooks = client.dag_hooks(cluster.id).await?;
    if global.output == Format::Json {
        return output::json(&hooks);
    }
    let mut table = Table::new(["ID", "FOLDER", "ADDRESS", "LAST CALLED"]);
    for hook in &hooks {
        let called = hook
            .called_at
            .map(|at| at.format("%Y-%m-%d %H:%M:%SZ").to_string());
        table.row([
            hook.id.to_string(),
            hook.folder.clone(),
            hook.url.clone(),
            called.unwrap_or_else(|| "never".to_owned()),
        ]);
    }
    output::print(&table.render())
}
