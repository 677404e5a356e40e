//! The cluster's own packages, from a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use updraft_model::EnvironmentSpec;

use crate::cli::error::{CliError, Exit};

/// Far more than is taken; the server says the bound.
const MOST: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct EnvironmentArgs {
    /// The cluster's own packages, one a line; `-` reads standard input. Nodes change once they are solved and checked
    #[arg(long, value_name = "FILE", group = "change")]
    requirements: Option<PathBuf>,
    /// Go back to the runtime's own packages
    #[arg(long, conflicts_with = "requirements", group = "change")]
    no_requirements: bool,
    /// Build packages that have no wheel: their own code runs for that on a node of the cluster
    #[arg(long, requires = "requirements")]
    allow_source_builds: bool,
}

// === impl EnvironmentArgs ===

impl EnvironmentArgs {
    /// None: it stays as it is.
    pub(super) fn asked(&self, current: &EnvironmentSpec) -> Result<Option<EnvironmentSpec>, CliError> {
        let requirements = match &self.requirements {
            Some(path) => read(path)?,
            None if self.no_requirements => String::new(),
            None => return Ok(None),
        };
        Ok(Some(EnvironmentSpec {
            requirements,
            allow_source_builds: self.allow_source_builds,
            build_time_limit_s: current.build_time_limit_s,
        }))
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|error| {
        CliError::new(Exit::Usage, format!("`{}` could not be read", path.display()))
            .why(error.to_string())
            .next("name a file with one requirement a line")
    })
}
