//! `updraft runtime`: what `up` does by itself for the release it brings, for an installation of services.

use anyhow::Context as _;
use updraft_runtimes::Catalogue;

use crate::cli::runtime::{PrepareArgs, RuntimeCommand};
use crate::config::{self, ControlFile};
use crate::up::template;

/// # Errors
/// When the release is not configured, the metadata server is not there, or Airflow's migration fails.
pub(crate) async fn run(command: &RuntimeCommand) -> anyhow::Result<()> {
    match command {
        RuntimeCommand::Prepare(args) => prepare(args).await,
    }
}

async fn prepare(args: &PrepareArgs) -> anyhow::Result<()> {
    let file: ControlFile = config::read(&args.config)?;
    file.metadata_authority()?;
    let catalogue = Catalogue::embedded()?;
    let runtime = match &args.runtime {
        Some(name) => catalogue
            .get(name)
            .with_context(|| format!("this program knows no release {name}"))?,
        None => catalogue.newest().context("this program knows no release")?,
    };
    let name = runtime.name();
    let template = file
        .nodes
        .template_of(name)
        .with_context(|| format!("{} names no template database for {name}", args.config.display()))?;
    let environment = std::path::absolute(&args.environment)?;
    let scratch = std::env::temp_dir();
    template::ensure(&file.metadata_url, template, runtime, &environment, &scratch).await?;
    println!("{template} is ready: clusters of {name} begin with it.");
    Ok(())
}
