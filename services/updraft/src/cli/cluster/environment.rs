//! The cluster's own packages, from a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use updraft_model::{CredentialName, EnvironmentSpec, PackageIndex, RequirementsFile};

use crate::cli::error::{CliError, Exit};

/// Far more than is taken; the server says the bound.
const MOST: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct EnvironmentArgs {
    /// The cluster's own packages, one a line; `-` reads standard input. Nodes change once they are solved and checked
    #[arg(long, value_name = "FILE", groups = ["change", "packages"])]
    requirements: Option<PathBuf>,
    /// Read them from this file of the DAGs too, in each version anew: a `requirements.txt` or a `pyproject.toml`
    #[arg(long, value_name = "PATH", groups = ["change", "packages"],
          num_args = 0..=1, default_missing_value = "requirements.txt")]
    requirements_from_dags: Option<String>,
    /// Of that `pyproject.toml`: these of its optional-dependencies too
    #[arg(long, value_name = "NAME", requires = "requirements_from_dags")]
    extra: Vec<String>,
    /// Go back to the runtime's own packages
    #[arg(long, conflicts_with = "packages", group = "change")]
    no_requirements: bool,
    /// A package index of your own, asked before the usual one
    #[arg(long, value_name = "URL", groups = ["change", "packages"])]
    package_index: Option<String>,
    /// What that index is shown, made with `updraft credential create package-index`
    #[arg(long, value_name = "NAME", requires = "package_index")]
    package_index_credential: Option<CredentialName>,
    /// Build packages that have no wheel: their own code runs for that on a node of the cluster
    #[arg(long, requires = "packages")]
    allow_source_builds: bool,
    /// Take no environment that another cluster of the tenant built, and give none to them
    #[arg(long, requires = "packages")]
    own_builds: bool,
}

// === impl EnvironmentArgs ===

impl EnvironmentArgs {
    /// None: it stays as it is.
    pub(super) fn asked(&self, current: &EnvironmentSpec) -> Result<Option<EnvironmentSpec>, CliError> {
        if self.no_requirements {
            return Ok(Some(EnvironmentSpec {
                build_time_limit_s: current.build_time_limit_s,
                ..EnvironmentSpec::default()
            }));
        }
        if self.requirements.is_none()
            && self.requirements_from_dags.is_none()
            && self.package_index.is_none()
        {
            return Ok(None);
        }
        let mut asked = EnvironmentSpec {
            allow_source_builds: self.allow_source_builds,
            own_builds: self.own_builds,
            ..current.clone()
        };
        if let Some(path) = &self.requirements {
            asked.requirements = read(path)?;
        }
        if let Some(path) = &self.requirements_from_dags {
            asked.from_dags = Some(RequirementsFile {
                path: path.clone(),
                extras: self.extra.clone(),
            });
        }
        if let Some(url) = &self.package_index {
            asked.package_index = Some(PackageIndex {
                url: url.clone(),
                credential: self.package_index_credential.clone(),
            });
        }
        Ok(Some(asked))
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
