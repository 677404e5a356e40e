//! `updraft provider`: what can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::help;

#[derive(Args, Debug)]
pub(crate) struct ProviderArgs {
    #[command(subcommand)]
    pub(crate) command: ProviderCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Ask EC2 whether nodes could start: credentials, role, image, subnets, groups, permissions
    ///
    /// Takes seconds and makes nothing. Exits with 1 when something is wrong.
    #[command(after_help = help::PROVIDER)]
    Check(CheckArgs),
    /// Generate the external id that a tenant's role asks for
    ///
    /// It names one tenant towards that tenant's own AWS account, so that nobody else can have Updraft use the role.
    #[command(after_help = help::PROVIDER)]
    ExternalId,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Configuration of nodes on EC2, in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}
