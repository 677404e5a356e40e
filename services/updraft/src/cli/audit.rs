//! `updraft audit`: who did what.

use std::io::{self, ErrorKind, Write as _};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::{Args, Subcommand};
use futures::TryStreamExt as _;
use updraft_api::audit::{AuditActor, AuditEntry, AuditOf};
use updraft_client::{AuditFilter, Client};
use updraft_model::{AuditActorKind, AuditOutcome};

use super::args::{Format, Global};
use super::error::CliError;
use super::output::{self, Table, or_dash};
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest lines
    #[command(after_help = help::AUDIT_LIST)]
    List(ListArgs),
    /// Write all lines to standard output, oldest first, a JSON object a line
    #[command(after_help = help::AUDIT_EXPORT)]
    Export(FilterArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many lines at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

#[derive(Args, Debug)]
pub(crate) struct FilterArgs {
    /// From then on: 2026-11-22, 2026-11-22T10:00:00Z, or an age: 90m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// How the action begins: cluster. for all that was done to clusters
    #[arg(long, value_name = "PREFIX")]
    action: Option<String>,
    /// Who did it: an address or an id
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// What it was done to: cluster:7, or its name
    #[arg(long, value_name = "WHAT")]
    target: Option<String>,
    /// What came of it: done, refused or failed
    #[arg(long, value_name = "WORD", value_parser = outcome)]
    outcome: Option<AuditOutcome>,
    /// What is nobody's in particular: sign-ins with unknown addresses and the like. For operators
    #[arg(long)]
    installation: bool,
}

// === impl AuditCommand ===

impl AuditCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = session::connect(global)?;
        match self {
            Self::List(args) => list(&client, args, global).await,
            Self::Export(args) => export(&client, args.into()).await,
        }
    }
}

impl From<FilterArgs> for AuditFilter {
    fn from(args: FilterArgs) -> Self {
        Self {
            of: if args.installation {
                AuditOf::Installation
            } else {
                AuditOf::Tenant
            },
            actor: args.actor,
            action: args.action,
            outcome: args.outcome,
            target: args.target,
            since: args.since,
            until: args.until,
        }
    }
}

async fn list(client: &Client, args: ListArgs, global: &Global) -> Result<(), CliError> {
    let lines = client.audit(&args.filter.into(), args.limit).await?;
    match global.output {
        Format::Json => output::json(&lines),
        Format::Table => output::print(&table(&lines).render()),
    }
}

async fn export(client: &Client, filter: AuditFilter) -> Result<(), CliError> {
    let mut chunks = std::pin::pin!(client.export_audit(&filter).await?);
    let mut out = io::stdout().lock();
    while let Some(chunk) = chunks.try_next().await? {
        match out.write_all(&chunk) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| CliError::io("cannot write to standard output", &error))?,
        }
    }
    out.flush()
        .map_err(|error| CliError::io("cannot write to standard output", &error))
}

fn table(lines: &[AuditEntry]) -> Table {
    let mut table = Table::new(["AT", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM"]);
    for line in lines {
        let outcome = match &line.reason {
            Some(reason) => format!("{}: {reason}", line.outcome.as_str()),
            None => line.outcome.as_str().to_owned(),
        };
        let target = match (&line.target, &line.target_name) {
            (Some(target), Some(name)) => format!("{target} ({name})"),
            (target, _) => or_dash(target.as_ref()),
        };
        table.row([
            line.at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            actor(&line.actor),
            line.action.clone(),
            outcome,
            target,
            or_dash(line.address),
        ]);
    }
    table
}

/// The name, and what else than a person it is.
fn actor(actor: &AuditActor) -> String {
    let name = or_dash(Some(&actor.name).filter(|name| !name.is_empty()));
    match actor.kind {
        AuditActorKind::Person | AuditActorKind::System => name,
        other => format!("{name} ({})", other.label()),
    }
}

fn outcome(text: &str) -> Result<AuditOutcome, String> {
    let found = AuditOutcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| "write done, refused or failed".to_owned())
}

/// A time, a day, or how long ago.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let at = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let ago = || Utc::now().checked_sub_signed(age(text)?);
    at.or_else(|| day().map(|day| day.and_utc()))
        .or_else(ago)
        .ok_or_else(|| {
            "write it as 2026-11-22, 2026-11-22T10:00:00Z, or an age like 90m, 24h or 7d".to_owned()
        })
}

fn age(text: &str) -> Option<TimeDelta> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
    match unit {
        "s" => TimeDelta::try_seconds(number),
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_a_day_or_an_age() {
        assert_eq!(
            moment("2026-11-22").unwrap(),
            moment("2026-11-22T01:00:00+01:00").unwrap()
        );
        let then = moment("2d").unwrap();
        let hours = (Utc::now() - then).num_hours();
        assert_eq!(hours, 48);
        for bad in [
            "",
            "d",
            "yesterday",
            "-1h",
            "1y",
            "2026-13-01",
            "9999999999999999999d",
            "9223372036854775807d",
            "ü",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
