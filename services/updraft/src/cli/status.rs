//! `updraft status`: the server, the person, the clusters.

use serde_json::json;
use updraft_api::rest::{Health, MailHealth, Me};
use updraft_client::{Client, ClientError};

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::{cluster, output, session};

pub(super) async fn status(global: &Global) -> Result<(), CliError> {
    let server = session::connect_unsigned(global)?;
    let health = server.health().await?;
    let me = who(global).await?;
    let clusters = match &me {
        Some((client, _)) => client.clusters().await?,
        None => Vec::new(),
    };
    let me = me.map(|(_, me)| me);
    match global.output {
        Format::Json => output::json(
            &json!({"server": server.server(), "health": health, "me": me, "clusters": clusters}),
        )?,
        Format::Table => {
            output::print(&summary(&server.server(), &health, me.as_ref()))?;
            if me.is_some() {
                output::print(&format!("\n{}", cluster::table(&clusters)))?;
            }
        }
    }
    healthy(&health)
}

/// Nobody when not signed in, or when the session is over.
async fn who(global: &Global) -> Result<Option<(Client, Me)>, CliError> {
    let Ok(client) = session::connect(global) else {
        return Ok(None);
    };
    match client.me().await {
        Ok(me) => Ok(Some((client, me))),
        Err(ClientError::Problem(problem)) if problem.status == 401 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn summary(server: &str, health: &Health, me: Option<&Me>) -> String {
    let person = match me {
        Some(me) => format!("{} of {}", me.email, me.tenant_name),
        None => "nobody: sign in with `updraft login`".to_owned(),
    };
    let mail = match health.mail {
        MailHealth::Failing => "\nMail       failing: control's log says why",
        MailHealth::Ok | MailHealth::Off => "",
    };
    format!(
        "Server     {server}\nHealth     {}{mail}\nVersion    {}\nSigned in  {person}",
        health.status, health.version
    )
}

fn healthy(health: &Health) -> Result<(), CliError> {
    if health.status == "ok" {
        return Ok(());
    }
    let why = if health.database {
        ""
    } else {
        "control's database does not answer"
    };
    Err(CliError::new(Exit::Failure, format!("the server is {}", health.status)).why(why))
}
