//! `updraft access list` and `updraft access explain`

use clap::Args;
use updraft_api::access::{AccessExplanation, ClusterPerson};
use updraft_authz::Outcome;
use updraft_client::Client;
use updraft_model::{ClusterId, UserId};

use super::{role, through};
use crate::cli::args::{Format, Global};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::{self, Table};
use crate::cli::resolve;

pub(super) const LIST: &str = "\
Example:
  updraft access list demo

For admins of the cluster.";

pub(super) const EXPLAIN: &str = "\
Examples:
  updraft access explain demo
  updraft access explain demo --person ada@example.com

Without --person it is about you. Admins of the cluster ask about others.";

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Name or id
    cluster: String,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// Name or id
    cluster: String,
    /// Somebody else, by address or id
    #[arg(long, value_name = "ADDRESS")]
    person: Option<String>,
}

pub(super) async fn list(client: &Client, args: &ListArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    let people = client.cluster_people(cluster.id, None, true).await?;
    match global.output {
        Format::Json => output::json(&people),
        Format::Table => output::print(&people_table(&people)),
    }
}

pub(super) async fn explain(client: &Client, args: &ExplainArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?;
    let user = match &args.person {
        Some(given) => Some(person(client, cluster.id, given).await?),
        None => None,
    };
    let explanation = client.explain_access(cluster.id, user).await?;
    match global.output {
        Format::Json => output::json(&explanation),
        Format::Table => output::print(&told(&explanation, cluster.name.as_str())),
    }
}

async fn person(client: &Client, cluster: ClusterId, given: &str) -> Result<UserId, CliError> {
    if let Ok(user) = given.parse() {
        return Ok(user);
    }
    let people = client.cluster_people(cluster, Some(given), false).await?;
    let mut meant = people
        .iter()
        .filter(|person| person.email.eq_ignore_ascii_case(given));
    match (meant.next(), meant.next()) {
        (Some(person), None) => Ok(person.user),
        (Some(_), Some(_)) => Err(CliError::new(
            Exit::Failure,
            format!("several people have the address `{given}`"),
        )
        .next("use an id: `updraft access list CLUSTER --output json` shows them")),
        (None, _) => Err(CliError::new(
            Exit::NotFound,
            format!("there is no `{given}` in your organisation"),
        )
        .next("check the address")),
    }
}

fn people_table(people: &[ClusterPerson]) -> String {
    let mut table = Table::new(["PERSON", "NAME", "ROLE", "THROUGH"]);
    for person in people {
        table.row([
            person.email.clone(),
            person.name.clone(),
            person.role.map_or("-", role).to_owned(),
            person.through.as_ref().map(through).unwrap_or_default(),
        ]);
    }
    table.render()
}

fn told(explanation: &AccessExplanation, cluster: &str) -> String {
    let may = match explanation.role {
        Some(held) => format!("{} is {} of `{cluster}`.", explanation.email, role(held)),
        None => format!("{} has no role on `{cluster}`.", explanation.email),
    };
    let mut table = Table::new(["", "ROLE", "THROUGH", "WHY"]);
    for reason in &explanation.reasons {
        let mark = if reason.outcome == Outcome::Decides {
            "*"
        } else {
            ""
        };
        table.row([
            mark.to_owned(),
            role(reason.role).to_owned(),
            through(&reason.through),
            outcome(reason.outcome).to_owned(),
        ]);
    }
    match explanation.reasons.is_empty() {
        true => format!("{may}\nThere is no rule or grant."),
        false => format!("{may}\n\n{}", table.render()),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Decides => "decides",
        Outcome::Holds => "holds too, and gives no more",
        Outcome::OtherPeople => "is about other people",
        Outcome::AddressNotVouched => "no identity provider vouched for the address",
        Outcome::OtherClusters => "is about other clusters",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;

    #[test]
    fn an_explanation_marks_what_decides() {
        let explanation = serde_json::from_value(json!({
            "cluster": 7, "user": "00000000-0000-0000-0000-000000000000",
            "name": "Ada", "email": "ada@example.com", "role": "admin",
            "reasons": [
                {"through": {"kind": "grant"}, "role": "user", "outcome": "holds"},
                {"through": {"kind": "rule", "id": "00000000-0000-0000-0000-000000000000",
                    "who": {"group": "data"}, "target": {"tag": {"key": "env", "value": "prod"}}},
                 "role": "admin", "outcome": "decides"},
            ],
        }))
        .unwrap();
        let text = told(&explanation, "demo");
        assert!(text.starts_with("ada@example.com is admin of `demo`."), "{text}");
        let decides = text.lines().find(|line| line.starts_with('*')).unwrap();
        assert!(
            decides.contains("group `data` on clusters tagged `env=prod`"),
            "{text}"
        );
    }
}
