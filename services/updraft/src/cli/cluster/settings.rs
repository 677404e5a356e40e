//! Environment variables, and what nodes run before their services start.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use indexmap::IndexMap;
use updraft_model::{BootstrapScript, BootstrapSpec, DagSource, FolderSource};

use crate::cli::args::parse_duration;
use crate::cli::error::{CliError, Exit};

/// Far more than is taken; the server says the bound.
const MOST: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct SettingsArgs {
    /// An environment variable of services and tasks; may be given several times. Together they replace all that were set.
    /// Secrets are kept by `updraft secrets set`
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable, group = "change")]
    env: Vec<(String, String)>,
    /// Take all environment variables away
    #[arg(long, conflicts_with = "env", group = "change")]
    no_env: bool,
    /// What each node runs before its services start: a file, `-` for standard input, or an object,
    /// s3://BUCKET/KEY#region=REGION. It is tried before any node changes
    #[arg(long, value_name = "SCRIPT", group = "change")]
    bootstrap: Option<String>,
    /// Run nothing before services start
    #[arg(long, conflicts_with = "bootstrap", group = "change")]
    no_bootstrap: bool,
    /// Longest time that script may take on a node, 5s to 5m [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "bootstrap")]
    bootstrap_time_limit: Option<Duration>,
}

// === impl SettingsArgs ===

impl SettingsArgs {
    /// None: they stay as they are.
    pub(super) fn variables(&self) -> Option<IndexMap<String, String>> {
        let replaces = self.no_env || !self.env.is_empty();
        replaces.then(|| self.env.iter().cloned().collect())
    }

    /// None: it stays as it is.
    pub(super) fn bootstrap(&self) -> Result<Option<BootstrapSpec>, CliError> {
        let script = match &self.bootstrap {
            Some(named) => Some(script(named)?),
            None if self.no_bootstrap => None,
            None => return Ok(None),
        };
        let default = BootstrapSpec::default();
        let limit = self.bootstrap_time_limit.map(|limit| limit.as_secs());
        Ok(Some(BootstrapSpec {
            script,
            time_limit_s: limit.map_or(default.time_limit_s, |s| u32::try_from(s).unwrap_or(u32::MAX)),
            read_at: None,
        }))
    }
}

fn script(named: &str) -> Result<BootstrapScript, CliError> {
    if named.starts_with("s3://") {
        return object(named);
    }
    let mut text = String::new();
    let read = if named == "-" {
        std::io::stdin().take(MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(Path::new(named)).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    read.map_err(|error| {
        CliError::new(Exit::Usage, format!("`{named}` could not be read"))
            .why(error.to_string())
            .next("name a file with a script, or s3://BUCKET/KEY#region=REGION")
    })?;
    Ok(BootstrapScript::Inline { text })
}

/// Written as a DAG source of that kind is.
fn object(named: &str) -> Result<BootstrapScript, CliError> {
    let wrong = |why: String| {
        CliError::new(Exit::Usage, format!("`{named}` names no object"))
            .why(why)
            .next("write s3://BUCKET/KEY#region=REGION&credential=NAME")
    };
    let source: FolderSource = named.parse().map_err(|error| wrong(format!("{error}")))?;
    match source.source {
        DagSource::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            credential,
            queue_url: None,
        } => Ok(BootstrapScript::S3 {
            bucket,
            key: prefix,
            region,
            endpoint,
            credential,
        }),
        _ => Err(wrong("it is another kind of source".to_owned())),
    }
}

/// `NAME=value`; the value may be empty.
fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=value, for example REGION=eu-west-1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::BootstrapScript;

    use super::{parse_variable, script};

    #[test]
    fn a_variable_has_a_name_and_may_hold_equal_signs() {
        assert_eq!(parse_variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_variable("A="), Ok(("A".to_owned(), String::new())));
        assert!(parse_variable("=b").is_err() && parse_variable("A").is_err());
    }

    #[test]
    fn a_script_is_a_file_or_an_object() {
        let Ok(BootstrapScript::S3 {
            bucket,
            key,
            region,
            credential,
            ..
        }) = script("s3://ours/nodes/boot.sh#region=eu-west-1&credential=aws")
        else {
            panic!("it is an object");
        };
        assert_eq!(
            (bucket.as_str(), key.as_str(), region.as_str()),
            ("ours", "nodes/boot.sh", "eu-west-1")
        );
        assert_eq!(credential.unwrap().as_str(), "aws");
        assert!(script("s3://ours/boot.sh").is_err(), "its region is missing");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("boot.sh");
        std::fs::write(&file, "echo hello\n").unwrap();
        let Ok(BootstrapScript::Inline { text }) = script(file.to_str().unwrap()) else {
            panic!("it is a file");
        };
        assert_eq!(text, "echo hello\n");
    }
}
