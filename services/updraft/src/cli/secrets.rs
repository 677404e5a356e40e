//! `updraft secrets …`: what a cluster's tasks know and nobody is shown. Values come from a file or standard input, never from
//! the command line.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::{Args, Subcommand};
use updraft_api::task_secrets::{ChangeTaskSecrets, TaskSecretView};
use updraft_client::Client;

use super::args::{Format, Global, Waiting};
use super::error::{CliError, Exit};
use super::output::{self, Table, age};
use super::{help, resolve, session, wait};

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Set a secret of a cluster's tasks, or several at once
    #[command(after_help = help::SECRETS_SET)]
    Set(SetArgs),
    /// List a cluster's secrets, without their values
    #[command(visible_alias = "ls", after_help = help::SECRETS)]
    List {
        /// Name or id
        cluster: String,
    },
    /// Remove secrets
    #[command(visible_alias = "rm", after_help = help::SECRETS)]
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    /// Name or id
    cluster: String,
    /// The environment variable that tasks read it from; AIRFLOW_CONN_NAME is a connection, AIRFLOW_VAR_NAME a variable
    #[arg(required_unless_present = "env_file", conflicts_with = "env_file")]
    name: Option<String>,
    /// Where the value stands [default: standard input]
    #[arg(long, value_name = "FILE", conflicts_with = "env_file")]
    secret_file: Option<PathBuf>,
    /// Several at once, as one change: lines of NAME=value; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Name or id
    cluster: String,
    /// Their names
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
}

// === impl SecretsCommand ===

impl SecretsCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Set(args) => {
                let change = ChangeTaskSecrets {
                    set: args.read()?,
                    remove: Vec::new(),
                };
                changed(client, &args.cluster, &change, &args.waiting, global).await
            }
            Self::List { cluster } => list(client, &cluster, global).await,
            Self::Remove(args) => {
                let change = ChangeTaskSecrets {
                    set: BTreeMap::new(),
                    remove: args.names,
                };
                changed(client, &args.cluster, &change, &args.waiting, global).await
            }
        }
    }
}

async fn changed(
    client: &Client,
    cluster: &str,
    change: &ChangeTaskSecrets,
    waiting: &Waiting,
    global: &Global,
) -> Result<(), CliError> {
    let id = resolve::cluster(client, cluster).await?.id;
    wait::conclude(
        client,
        client.change_task_secrets(id, change).await?,
        waiting,
        global,
    )
    .await
}

async fn list(client: &Client, cluster: &str, global: &Global) -> Result<(), CliError> {
    let id = resolve::cluster(client, cluster).await?.id;
    let secrets = client.task_secrets(id).await?;
    match global.output {
        Format::Json => output::json(&secrets),
        Format::Table => output::print(&table(&secrets.items)),
    }
}

fn table(secrets: &[TaskSecretView]) -> String {
    if secrets.is_empty() {
        return "No secret yet: `updraft secrets set CLUSTER NAME` keeps one.".to_owned();
    }
    let (mut table, now) = (Table::new(["NAME", "SET"]), Utc::now());
    for secret in secrets {
        table.row([secret.name.clone(), format!("{} ago", age(now, secret.set_at))]);
    }
    table.render()
}

// === impl SetArgs ===

impl SetArgs {
    fn read(&self) -> Result<BTreeMap<String, String>, CliError> {
        if let Some(path) = &self.env_file {
            return pairs(&text_of(path)?);
        }
        let value = match &self.secret_file {
            Some(path) => text_of(path)?,
            None if io::stdin().is_terminal() => {
                rpassword::prompt_password("Secret: ").map_err(|error| unreadable("the terminal", &error))?
            }
            None => text_of(Path::new("-"))?,
        };
        let name = self.name.clone().unwrap_or_default();
        Ok(BTreeMap::from([(name, without_end(&value).to_owned())]))
    }
}

/// Shells and editors end what they write with a line's end, which is no part of a secret.
fn without_end(value: &str) -> &str {
    let value = value.strip_suffix('\n').unwrap_or(value);
    value.strip_suffix('\r').unwrap_or(value)
}

fn pairs(text: &str) -> Result<BTreeMap<String, String>, CliError> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| match line.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            // The line itself may be a secret.
            _ => Err(
                CliError::new(Exit::Usage, format!("line {} is no secret", index + 1))
                    .next("write each on a line of its own: NAME=value"),
            ),
        })
        .collect()
}

fn text_of(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map(|()| text)
        .map_err(|error| unreadable(&path.display().to_string(), &error))
}

fn unreadable(what: &str, error: &io::Error) -> CliError {
    CliError::new(Exit::Usage, format!("cannot read {what}")).why(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{pairs, without_end};

    #[test]
    fn a_lines_end_is_no_part_of_a_secret() {
        assert_eq!(without_end("one\ntwo\n"), "one\ntwo");
        assert_eq!(without_end("one\r\n"), "one");
        assert_eq!(without_end(" one "), " one ");
    }

    #[test]
    fn a_file_of_secrets_is_never_quoted() {
        let read = pairs("# ours\nA=1=2\n\nB= x\n").unwrap();
        assert_eq!((read["A"].as_str(), read["B"].as_str()), ("1=2", " x"));
        let error = pairs("A=1\nhunter2\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }
}
