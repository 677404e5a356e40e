//! `updraft person …`: the tenant's people, for owners: new passwords, lost second factors.

use clap::{Args, Subcommand};
use updraft_api::rest::Person;
use updraft_api::tenants::AccountInNeed;
use updraft_client::Client;
use updraft_model::{TenantRole, UserId};

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// List the tenant's people (owners)
    #[command(visible_alias = "ls", after_help = help::PERSON_LIST)]
    List,
    /// Make a link by which somebody sets a new password; it is shown once (owners)
    #[command(after_help = help::PERSON_PASSWORD_LINK)]
    PasswordLink(InNeed),
    /// Take the second factor of somebody away who lost it (owners)
    #[command(after_help = help::PERSON_REMOVE_SECOND_FACTOR)]
    RemoveSecondFactor(InNeed),
}

#[derive(Args, Debug)]
pub(crate) struct InNeed {
    /// E-mail address, or id
    #[arg(value_name = "EMAIL")]
    person: String,
    /// Somebody whom no owner may help: an account that several tenants trust, or a last owner's (operators)
    #[arg(long)]
    as_operator: bool,
}

// === impl PersonCommand ===

impl PersonCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::List => list(client, global).await,
            Self::PasswordLink(args) => password_link(client, &args, global).await,
            Self::RemoveSecondFactor(args) => remove_second_factor(client, &args, global).await,
        }
    }
}

// === impl InNeed ===

impl InNeed {
    /// For an operator, who knows the address alone.
    fn account(&self) -> Option<AccountInNeed> {
        self.as_operator.then(|| AccountInNeed {
            email: self.person.clone(),
        })
    }
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let people = client.people().await?;
    if global.output == Format::Json {
        return output::json(&people);
    }
    let mut table = Table::new(["EMAIL", "NAME", "ROLE", "ID"]);
    for person in people {
        let role = match person.tenant_role {
            TenantRole::Owner => "owner",
            TenantRole::Member => "member",
        };
        table.row([
            person.email,
            person.name,
            role.to_owned(),
            person.user.to_string(),
        ]);
    }
    output::print(&table.render())
}

async fn password_link(client: &Client, args: &InNeed, global: &Global) -> Result<(), CliError> {
    let (email, made) = match args.account() {
        Some(account) => {
            let made = client.help_with_password(&account).await?;
            (account.email, made)
        }
        None => {
            let person = named(client, &args.person).await?;
            let made = client.create_password_link(person.user).await?;
            (person.email, made)
        }
    };
    match global.output {
        Format::Json => output::json(&made),
        Format::Table => {
            eprintln!("For {email}, good once, for a day; this is shown once:");
            output::print(&made.link)
        }
    }
}

async fn remove_second_factor(client: &Client, args: &InNeed, global: &Global) -> Result<(), CliError> {
    let email = match args.account() {
        Some(account) => {
            client.help_with_second_factor(&account).await?;
            account.email
        }
        None => {
            let person = named(client, &args.person).await?;
            client.remove_second_factor_of(person.user).await?;
            person.email
        }
    };
    match global.output {
        Format::Json => Ok(()),
        Format::Table => output::print(&format!("Signing in takes {email} their password alone now.")),
    }
}

/// A member of the tenant by address or id. Of two with one address, which a directory may bring, the id says which.
pub(super) async fn named(client: &Client, given: &str) -> Result<Person, CliError> {
    let id = given.parse::<UserId>().ok();
    let is_meant = |person: &Person| Some(person.user) == id || person.email.eq_ignore_ascii_case(given);
    let mut found = client.people().await?.into_iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(person), None) => Ok(person),
        (None, _) => Err(
            CliError::new(Exit::NotFound, format!("there is no person `{given}`"))
                .next("list them with `updraft person list`"),
        ),
        (Some(_), Some(_)) => Err(CliError::new(
            Exit::Usage,
            format!("several people have the address `{given}`"),
        )
        .next("give the id of the one you mean: `updraft person list`")),
    }
}
