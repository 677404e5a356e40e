//! `updraft service-account …`: accounts of programs.

use chrono::Utc;
use clap::{Args, Subcommand};
use updraft_api::tokens::{NewServiceAccount, ServiceAccountView};
use updraft_client::Client;

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceAccountCommand {
    /// Make a service account (owners)
    #[command(after_help = help::SERVICE_ACCOUNT)]
    Create(Named),
    /// List the service accounts (owners)
    #[command(visible_alias = "ls", after_help = help::SERVICE_ACCOUNT)]
    List,
    /// Delete a service account with its tokens and roles (owners)
    #[command(after_help = help::SERVICE_ACCOUNT)]
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Lower-case letters, digits and hyphens: `ci-deploy`
    name: String,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Its name
    name: String,
    /// Do not ask
    #[arg(long, short, required = true)]
    yes: bool,
}

// === impl ServiceAccountCommand ===

impl ServiceAccountCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Create(args) => create(client, args, global).await,
            Self::List => list(client, global).await,
            Self::Delete(args) => delete(client, &args).await,
        }
    }
}

/// The service account of this name.
pub(super) async fn named(client: &Client, name: &str) -> Result<ServiceAccountView, CliError> {
    let accounts = client.service_accounts().await?;
    let found = accounts.into_iter().find(|account| account.name == name);
    found.ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("there is no service account `{name}`"))
            .next("list them with `updraft service-account list`")
    })
}

async fn create(client: &Client, args: Named, global: &Global) -> Result<(), CliError> {
    let made = client
        .create_service_account(&NewServiceAccount { name: args.name })
        .await?;
    match global.output {
        Format::Json => output::json(&made),
        Format::Table => output::print(&format!(
            "Made {} ({}). It has no role yet; `updraft token create --service-account {}` makes it a token.",
            made.name, made.user, made.name
        )),
    }
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let accounts = client.service_accounts().await?;
    if global.output == Format::Json {
        return output::json(&accounts);
    }
    let now = Utc::now();
    let mut table = Table::new(["NAME", "ID", "TOKENS", "AGE"]);
    for account in &accounts {
        table.row([
            account.name.clone(),
            account.user.to_string(),
            account.tokens.to_string(),
            output::age(now, account.created_at),
        ]);
    }
    output::print(&table.render())
}

async fn delete(client: &Client, args: &DeleteArgs) -> Result<(), CliError> {
    let account = named(client, &args.name).await?;
    client.delete_service_account(account.user).await?;
    output::print(&format!(
        "Deleted {}; its tokens are worth nothing.",
        account.name
    ))
}
