//! `updraft sso …`: how people of the organisation sign in.

mod domain;
mod provider;
mod rules;

use clap::{Args, Subcommand};

use super::args::Global;
use super::error::CliError;
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum SsoCommand {
    /// Connect, test and enable identity providers
    Provider(ProviderArgs),
    /// Prove the domains of your people's addresses
    Domain(DomainArgs),
    /// Show or change whether passwords are allowed and how long sessions last
    #[command(after_help = help::SSO_RULES)]
    Rules(rules::RulesArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ProviderArgs {
    #[command(subcommand)]
    command: provider::ProviderCommand,
}

#[derive(Args, Debug)]
pub(crate) struct DomainArgs {
    #[command(subcommand)]
    command: domain::DomainCommand,
}

// === impl SsoCommand ===

impl SsoCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Provider(args) => args.command.run(client, global).await,
            Self::Domain(args) => args.command.run(client, global).await,
            Self::Rules(args) => rules::rules(client, &args, global).await,
        }
    }
}
