//! `updraft session …`: where somebody is signed in, and ending it.

use chrono::Utc;
use clap::{Args, Subcommand};
use updraft_api::tokens::SessionView;
use updraft_client::Client;
use updraft_model::{SessionId, UserId};

use super::args::{Format, Global};
use super::error::CliError;
use super::output::{self, Table};
use super::{help, person, session};

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List your sessions, or as an owner somebody else's
    #[command(visible_alias = "ls", after_help = help::SESSION_LIST)]
    List(Whose),
    /// End a session, everywhere it was handed to
    #[command(after_help = help::SESSION_REVOKE)]
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct Whose {
    /// Somebody else's, by e-mail address or id (owners) [default: yours]
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The session's id
    #[arg(value_name = "ID", required_unless_present = "all")]
    session: Option<SessionId>,
    /// All of yours but the one you use, or all of --person's
    #[arg(long, conflicts_with = "session")]
    all: bool,
    /// Whose, with --all (owners) [default: yours]
    #[arg(long, value_name = "EMAIL", requires = "all")]
    person: Option<String>,
}

// === impl SessionCommand ===

impl SessionCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::List(args) => list(client, &args, global).await,
            Self::Revoke(args) => revoke(client, args, global).await,
        }
    }
}

async fn list(client: &Client, args: &Whose, global: &Global) -> Result<(), CliError> {
    let sessions = client
        .sessions(whose(client, args.person.as_deref()).await?)
        .await?;
    match global.output {
        Format::Json => output::json(&sessions),
        Format::Table => output::print(&table(&sessions)),
    }
}

async fn revoke(client: &Client, args: RevokeArgs, global: &Global) -> Result<(), CliError> {
    if let Some(session) = args.session {
        client.revoke_session(session).await?;
        return match global.output {
            Format::Json => Ok(()),
            Format::Table => output::print(&format!("Ended {session}.")),
        };
    }
    let user = whose(client, args.person.as_deref()).await?;
    let ended = client.revoke_sessions(user).await?;
    match global.output {
        Format::Json => output::json(&ended),
        Format::Table => output::print(&format!("Ended {} sessions.", ended.ended)),
    }
}

async fn whose(client: &Client, person: Option<&str>) -> Result<Option<UserId>, CliError> {
    match person {
        Some(given) => Ok(Some(person::named(client, given).await?.user)),
        None => Ok(None),
    }
}

fn table(sessions: &[SessionView]) -> String {
    let now = Utc::now();
    let mut table = Table::new(["", "ID", "FROM", "THROUGH", "PROGRAM", "AGE", "LAST USED"]);
    for session in sessions {
        let used = session.used_at.map(|at| output::age(now, at));
        table.row([
            if session.current { "*" } else { "" }.to_owned(),
            session.id.to_string(),
            session.address.clone().unwrap_or_default(),
            session.provider.clone().unwrap_or_else(|| "password".to_owned()),
            session.user_agent.clone().unwrap_or_default(),
            output::age(now, session.created_at),
            used.unwrap_or_default(),
        ]);
    }
    table.render()
}
