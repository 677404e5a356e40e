//! `updraft sso domain …`

use chrono::Utc;
use clap::{Args, Subcommand};
use updraft_api::sign_in::{DomainView, NewDomain};
use updraft_client::Client;
use updraft_model::ProviderId;

use super::provider;
use crate::cli::args::{Format, Global};
use crate::cli::error::CliError;
use crate::cli::help;
use crate::cli::output::{self, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Claim a domain; says which TXT record proves it
    #[command(after_help = help::SSO_DOMAIN_ADD)]
    Add(AddArgs),
    /// List domains
    #[command(visible_alias = "ls", after_help = help::SSO_DOMAIN_LIST)]
    List,
    /// Look for the domain's record now
    #[command(after_help = help::SSO_DOMAIN_CHECK)]
    Check(Named),
    /// Send its people to another identity provider
    #[command(after_help = help::SSO_DOMAIN_SEND)]
    Send(SendArgs),
    /// Give the domain up
    #[command(after_help = help::SSO_DOMAIN_REMOVE)]
    Remove(Named),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// For example example.com
    domain: String,
    /// Name or id of the identity provider its people are sent to
    #[arg(long)]
    provider: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// For example example.com
    domain: String,
}

#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// For example example.com
    domain: String,
    /// Name or id of the identity provider [default: none, they are asked for a password]
    #[arg(long)]
    provider: Option<String>,
}

// === impl DomainCommand ===

impl DomainCommand {
    pub(super) async fn run(self, client: &Client, global: &Global) -> Result<(), CliError> {
        match self {
            Self::Add(args) => {
                let new = NewDomain {
                    provider: chosen(client, args.provider.as_deref()).await?,
                    domain: args.domain,
                };
                show(&[client.add_domain(&new).await?], global)
            }
            Self::List => show(&client.domains().await?, global),
            Self::Check(args) => show(&[client.check_domain(&args.domain).await?], global),
            Self::Send(args) => {
                let provider = chosen(client, args.provider.as_deref()).await?;
                show(&[client.send_domain(&args.domain, provider).await?], global)
            }
            Self::Remove(args) => Ok(client.remove_domain(&args.domain).await?),
        }
    }
}

async fn chosen(client: &Client, name: Option<&str>) -> Result<Option<ProviderId>, CliError> {
    match name {
        Some(name) => Ok(Some(provider::named(client, name).await?.id)),
        None => Ok(None),
    }
}

fn show(domains: &[DomainView], global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(&domains);
    }
    let now = Utc::now();
    let mut table = Table::new(["DOMAIN", "RECORD SEEN", "TXT RECORD AT", "SAYING"]);
    for view in domains {
        let seen = view.verified_at.map(|at| format!("{} ago", output::age(now, at)));
        table.row([
            view.domain.clone(),
            output::or_dash(seen),
            view.record_name.clone(),
            view.record_value.clone(),
        ]);
    }
    output::print(&table.render())
}
