//! `updraft access …`: who has access to clusters, why, and the rules that give it.

mod explain;
mod rules;

use clap::{Args, Subcommand};
use updraft_api::access::Through;
use updraft_model::ClusterRole;

use super::args::Global;
use super::error::CliError;
use super::session;

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// List who has access to a cluster, and through what
    #[command(after_help = explain::LIST)]
    List(explain::ListArgs),
    /// Explain why somebody may use a cluster, or may not
    #[command(after_help = explain::EXPLAIN)]
    Explain(explain::ExplainArgs),
    /// Make, list and remove rules that give roles by group, domain or address
    Rule(RuleArgs),
}

#[derive(Args, Debug)]
pub(crate) struct RuleArgs {
    #[command(subcommand)]
    command: rules::RuleCommand,
}

// === impl AccessCommand ===

impl AccessCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::List(args) => explain::list(client, &args, global).await,
            Self::Explain(args) => explain::explain(client, &args, global).await,
            Self::Rule(args) => args.command.run(client, global).await,
        }
    }
}

fn role(role: ClusterRole) -> &'static str {
    match role {
        ClusterRole::User => "user",
        ClusterRole::Admin => "admin",
    }
}

/// Where a role comes from, in words.
fn through(through: &Through) -> String {
    match through {
        Through::Owner => "owner of the organisation".to_owned(),
        Through::Grant => "given on the cluster".to_owned(),
        Through::Rule { id, who, target } => format!("rule {id}: {who} on {target}"),
    }
}
