//! `updraft access rule …`

use clap::{Args, Subcommand, ValueEnum};
use updraft_api::access::{AccessRuleView, NewAccessRule};
use updraft_authz::{Tag, Target, Who};
use updraft_client::Client;
use updraft_model::{ClusterRole, RuleId};

use super::role;
use crate::cli::args::{Format, Global, parse_tag};
use crate::cli::error::CliError;
use crate::cli::output::{self, Table, or_dash};
use crate::cli::resolve;

const ADD: &str = "\
Examples:
  updraft access rule add --group data-platform --role admin --tag env=prod
  updraft access rule add --domain example.com --role user --cluster demo
  updraft access rule add --everyone --role user --every-cluster

A rule goes by what your identity provider or directory says of people. Rules only give: the highest role wins.
A domain is that very one, and only addresses that the identity provider vouched for count.";

const LIST: &str = "\
Example:
  updraft access rule list";

const REMOVE: &str = "\
Example:
  updraft access rule remove 0198c0de-0000-7000-8000-000000000001

Whoever had a role by it alone loses it within seconds.";

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Give a role to a group, a domain, an address or everyone
    #[command(after_help = ADD)]
    Add(AddArgs),
    /// List the rules, oldest first
    #[command(visible_alias = "ls", after_help = LIST)]
    List,
    /// Remove a rule
    #[command(visible_alias = "rm", after_help = REMOVE)]
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("who").required(true))]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub(crate) struct AddArgs {
    /// Members of a group, named as the identity provider or the directory names it
    #[arg(long, value_name = "NAME", group = "who")]
    group: Option<String>,
    /// People with an address in this domain
    #[arg(long, value_name = "DOMAIN", group = "who")]
    domain: Option<String>,
    /// One person, by address
    #[arg(long, value_name = "ADDRESS", group = "who")]
    email: Option<String>,
    /// Every person of the organisation
    #[arg(long, group = "who")]
    everyone: bool,
    /// What they may do
    #[arg(long, value_enum)]
    role: Role,
    /// On one cluster, by name or id
    #[arg(long, value_name = "CLUSTER", group = "target")]
    cluster: Option<String>,
    /// On clusters with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag, group = "target")]
    tag: Option<(String, String)>,
    /// On every cluster, those to come too
    #[arg(long, group = "target")]
    every_cluster: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Uses Airflow without its Admin pages
    User,
    /// Changes the cluster, sees every page of Airflow
    Admin,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Its id, as the list shows it
    rule: RuleId,
}

// === impl RuleCommand ===

impl RuleCommand {
    pub(super) async fn run(self, client: &Client, global: &Global) -> Result<(), CliError> {
        match self {
            Self::Add(args) => add(client, args, global).await,
            Self::List => list(client, global).await,
            Self::Remove(args) => remove(client, &args).await,
        }
    }
}

async fn add(client: &Client, args: AddArgs, global: &Global) -> Result<(), CliError> {
    let target = match (&args.cluster, &args.tag) {
        (Some(cluster), _) => Target::Cluster(resolve::cluster(client, cluster).await?.id),
        (None, Some((key, value))) => Target::Tag(Tag {
            key: key.clone(),
            value: value.clone(),
        }),
        (None, None) => Target::EveryCluster,
    };
    let role = match args.role {
        Role::User => ClusterRole::User,
        Role::Admin => ClusterRole::Admin,
    };
    let new = NewAccessRule {
        who: args.who(),
        role,
        target,
    };
    let rule = client.create_access_rule(&new).await?;
    match global.output {
        Format::Json => output::json(&rule),
        Format::Table => output::print(&table(&[rule])),
    }
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let rules = client.access_rules().await?;
    match global.output {
        Format::Json => output::json(&rules),
        Format::Table if rules.is_empty() => output::print(
            "No rule yet: `updraft access rule add --group NAME --role user --every-cluster` makes one.",
        ),
        Format::Table => output::print(&table(&rules)),
    }
}

async fn remove(client: &Client, args: &RemoveArgs) -> Result<(), CliError> {
    client.delete_access_rule(args.rule).await?;
    output::print(&format!("The rule {} is gone.", args.rule))
}

fn table(rules: &[AccessRuleView]) -> String {
    let mut table = Table::new(["RULE", "WHO", "ROLE", "ON", "BY"]);
    for rule in rules {
        table.row([
            rule.id.to_string(),
            rule.who.to_string(),
            role(rule.role).to_owned(),
            rule.target.to_string(),
            or_dash(rule.created_by.as_ref()),
        ]);
    }
    table.render()
}

// === impl AddArgs ===

impl AddArgs {
    fn who(self) -> Who {
        let by_group = self.group.map(Who::Group);
        let by_address = self.domain.map(Who::Domain).or(self.email.map(Who::Email));
        by_group.or(by_address).unwrap_or(Who::Everyone)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    #[test]
    fn a_rule_is_about_one_kind_of_people_and_one_kind_of_target() {
        let parses = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        let add = "updraft access rule add";
        assert!(parses(&format!("{add} --group data --role admin --tag env=prod")));
        assert!(parses(&format!("{add} --everyone --role user --every-cluster")));
        for wrong in [
            "--group data --role admin",
            "--role admin --every-cluster",
            "--group data --everyone --role admin --every-cluster",
            "--group data --role admin --every-cluster --cluster demo",
            "--group data --role owner --every-cluster",
        ] {
            assert!(!parses(&format!("{add} {wrong}")), "{wrong}");
        }
    }
}
