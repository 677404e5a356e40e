//! `updraft runtime`: what can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::help;

#[derive(Args, Debug)]
pub(crate) struct RuntimeArgs {
    #[command(subcommand)]
    pub(crate) command: RuntimeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// Migrate the database that clusters' metadata databases are cloned from
    ///
    /// Runs Airflow's own migration, so it is run once for each release, where that release's environment is. One that is
    /// ready stays as it is.
    #[command(after_help = help::RUNTIME)]
    Prepare(PrepareArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PrepareArgs {
    /// Control's configuration: names the metadata server and the template database
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The release's environment on this machine
    #[arg(long, value_name = "DIR")]
    pub(crate) environment: PathBuf,
    /// The release; without it, the newest that this program knows
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
}
