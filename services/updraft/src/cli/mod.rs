//! The command line: what can be typed, and the verbs that speak REST.
//!
//! [`Cli`] is the whole tree. Verbs that only call a server are carried out by [`remote::run`]; those that are a
//! server ([`LocalCommand`]) are dispatched in `main`, which alone knows how the parts fit together.

mod access;
pub(crate) mod args;
mod audit;
mod aws_account;
mod cluster;
mod completions;
mod credential;
mod credentials;
mod dags;
mod device;
pub(crate) mod error;
mod help;
mod logs;
mod open;
mod output;
mod person;
mod progress;
pub(crate) mod provider;
pub(crate) mod remote;
mod resolve;
pub(crate) mod runtime;
mod secrets;
mod service_account;
mod session;
mod sessions;
mod sso;
mod status;
mod tenant;
mod token;
mod wait;

use clap::{Parser, Subcommand};

pub(crate) use args::{
    AgentArgs, DownArgs, OperatorArgs, OperatorCommand, OperatorInit, OperatorKeys, ServerArgs, UpArgs,
};

use args::Global;
use remote::RemoteCommand;

/// Apache Airflow as a service: one command to a real Airflow behind its own URL.
#[derive(Debug, Parser)]
#[command(name = "updraft", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = help::TOP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Local(LocalCommand),
    #[command(flatten)]
    Remote(Box<RemoteCommand>),
}

/// Verbs that run parts of Updraft on this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Install and run a whole Updraft on this machine, with a demo cluster
    ///
    /// Downloads what is missing into one data directory, starts everything, and prints the addresses and the first
    /// password. Run it again to go on where you stopped. Ctrl-C stops everything in order and loses nothing.
    #[command(after_help = help::UP)]
    Up(Box<UpArgs>),
    /// Stop what `updraft up` started on this machine
    #[command(after_help = help::DOWN)]
    Down(DownArgs),
    /// Say who runs this installation, on its own machine
    ///
    /// Operators make tenants and say how much each may have. No tenant and no identity provider can make one: only this
    /// command, by whoever may read the data directory.
    Operator(OperatorArgs),
    /// Look whether nodes could be had from a cloud, before anything starts
    Provider(provider::ProviderArgs),
    /// Make what clusters of a release of Airflow begin with
    Runtime(runtime::RuntimeArgs),
    /// Run the control plane: REST, console and reconciler
    #[command(after_help = help::CONTROL)]
    Control(ServerArgs),
    /// Run the edge: the reverse proxy in front of every Airflow
    #[command(after_help = help::EDGE)]
    Edge(ServerArgs),
    /// Run the agent of one node
    #[command(after_help = help::AGENT)]
    Agent(AgentArgs),
}

/// Parses the process's arguments; prints help and usage errors itself (exit code 2).
#[must_use]
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

#[cfg(test)]
mod tests;
