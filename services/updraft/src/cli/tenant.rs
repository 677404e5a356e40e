//! `updraft tenant …`: one's own tenants, and all of them for the operator.

use clap::{Args, Subcommand};
use secrecy::SecretString;
use updraft_api::rest::SignedIn;
use updraft_api::tenants::{MadeTenant, MyTenant, NewOwner, NewTenant, TenantView, UpdateTenant};
use updraft_client::Client;
use updraft_model::TenantId;

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Make a tenant with its first owner (operators)
    #[command(after_help = help::TENANT_CREATE)]
    Create(CreateArgs),
    /// List the tenants you belong to, or all of them (operators)
    #[command(visible_alias = "ls", after_help = help::TENANT_LIST)]
    List(ListArgs),
    /// Show one tenant: its quota and how much of it there is (operators)
    #[command(after_help = help::TENANT_SHOW)]
    Show(Named),
    /// Change how much a tenant may have (operators)
    #[command(after_help = help::TENANT_UPDATE)]
    Update(UpdateArgs),
    /// Delete a tenant that has no clusters (operators)
    #[command(after_help = help::TENANT_DELETE)]
    Delete(DeleteArgs),
    /// Go to another tenant that you belong to
    #[command(after_help = help::TENANT_SWITCH)]
    Switch(Named),
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Name or id
    tenant: String,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// All tenants of the installation (operators)
    #[arg(long)]
    all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// What the organisation is called
    name: String,
    /// E-mail address of its first owner
    #[arg(long, value_name = "EMAIL")]
    owner: String,
    /// Name of its first owner [default: the address]
    #[arg(long, value_name = "NAME")]
    owner_name: Option<String>,
    /// Clusters it may have [default: 20]
    #[arg(long, value_name = "N")]
    max_clusters: Option<u32>,
    /// Nodes that its running clusters may have together [default: 100]
    #[arg(long, value_name = "N")]
    max_nodes: Option<u32>,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["max_clusters", "max_nodes"]))]
pub(crate) struct UpdateArgs {
    /// Name or id
    tenant: String,
    /// Clusters it may have
    #[arg(long, value_name = "N")]
    max_clusters: Option<u32>,
    /// Nodes that its running clusters may have together
    #[arg(long, value_name = "N")]
    max_nodes: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Name or id
    tenant: String,
    /// Do not ask
    #[arg(long, short, required = true)]
    yes: bool,
}

// === impl TenantCommand ===

impl TenantCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Create(args) => create(client, args, global).await,
            Self::List(args) => list(client, &args, global).await,
            Self::Show(args) => shown(&client.tenant(any(client, &args.tenant).await?).await?, global),
            Self::Update(args) => update(client, &args, global).await,
            Self::Delete(args) => delete(client, &args, global).await,
            Self::Switch(args) => switch(client, &args, global).await,
        }
    }
}

async fn create(client: &Client, args: CreateArgs, global: &Global) -> Result<(), CliError> {
    let new = NewTenant {
        name: args.name,
        max_clusters: args.max_clusters,
        max_nodes: args.max_nodes,
        owner: NewOwner {
            name: args.owner_name.unwrap_or_else(|| args.owner.clone()),
            email: args.owner,
            password: None,
        },
    };
    let made = client.create_tenant(&new).await?;
    match global.output {
        Format::Json => output::json(&made),
        Format::Table => output::print(&announced(&made, &new.owner.email)),
    }
}

fn announced(made: &MadeTenant, owner: &str) -> String {
    let name = &made.tenant.name;
    match &made.owner_password {
        Some(password) => format!(
            "Made {name}. Its owner signs in as {owner} with this password, which is not shown again:\n\n  {password}\n"
        ),
        None => format!("Made {name}. Its owner {owner} has an account already and signs in as before."),
    }
}

async fn list(client: &Client, args: &ListArgs, global: &Global) -> Result<(), CliError> {
    if args.all {
        let tenants = client.tenants().await?;
        return match global.output {
            Format::Json => output::json(&tenants),
            Format::Table => output::print(&table(&tenants)),
        };
    }
    let mine = client.my_tenants().await?;
    match global.output {
        Format::Json => output::json(&mine),
        Format::Table => output::print(&own_table(&mine)),
    }
}

async fn update(client: &Client, args: &UpdateArgs, global: &Global) -> Result<(), CliError> {
    let update = UpdateTenant {
        max_clusters: args.max_clusters,
        max_nodes: args.max_nodes,
    };
    let tenant = any(client, &args.tenant).await?;
    shown(&client.update_tenant(tenant, &update).await?, global)
}

async fn delete(client: &Client, args: &DeleteArgs, global: &Global) -> Result<(), CliError> {
    let tenant = any(client, &args.tenant).await?;
    client.delete_tenant(tenant).await?;
    match global.output {
        Format::Json => Ok(()),
        Format::Table => output::print(&format!("Deleted {}.", args.tenant)),
    }
}

async fn switch(client: &Client, args: &Named, global: &Global) -> Result<(), CliError> {
    let mine = client.my_tenants().await?;
    let tenant = named(
        &args.tenant,
        mine.iter().map(|mine| (mine.tenant, mine.name.as_str())),
    )?;
    let SignedIn {
        token,
        expires_at,
        me,
    } = client.switch_tenant(tenant).await?;
    session::remember(&client.server(), &me.email, SecretString::from(token), expires_at)?;
    match global.output {
        Format::Json => output::json(&me),
        Format::Table => output::print(&format!("You are in {} now.", me.tenant_name)),
    }
}

/// Any tenant of the installation, by name or id.
async fn any(client: &Client, wanted: &str) -> Result<TenantId, CliError> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let all = client.tenants().await?;
    named(wanted, all.iter().map(|tenant| (tenant.id, tenant.name.as_str())))
}

fn named<'a>(
    wanted: &str,
    mut tenants: impl Iterator<Item = (TenantId, &'a str)>,
) -> Result<TenantId, CliError> {
    let found = tenants.find(|(id, name)| *name == wanted || id.to_string() == wanted);
    found.map(|(id, _)| id).ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("there is no tenant `{wanted}`"))
            .next("`updraft tenant list` shows yours")
    })
}

fn shown(tenant: &TenantView, global: &Global) -> Result<(), CliError> {
    match global.output {
        Format::Json => output::json(tenant),
        Format::Table => output::print(&table(std::slice::from_ref(tenant))),
    }
}

fn table(tenants: &[TenantView]) -> String {
    let mut table = Table::new(["NAME", "ID", "CLUSTERS", "MAX NODES", "PEOPLE"]);
    for tenant in tenants {
        table.row([
            tenant.name.clone(),
            tenant.id.to_string(),
            format!("{}/{}", tenant.clusters, tenant.max_clusters),
            tenant.max_nodes.to_string(),
            tenant.people.to_string(),
        ]);
    }
    table.render()
}

fn own_table(mine: &[MyTenant]) -> String {
    let mut table = Table::new(["", "NAME", "ID", "NOTE"]);
    for tenant in mine {
        table.row([
            if tenant.current { "*" } else { "" }.to_owned(),
            tenant.name.clone(),
            tenant.tenant.to_string(),
            tenant.obstacle.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}
