//! `updraft sso provider …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use updraft_api::sign_in::{
    IdentityProviderView, NewIdentityProvider, ProviderAddresses, ProviderCheckOutcome,
    UpdateIdentityProvider,
};
use updraft_client::Client;
use updraft_model::{OidcConfig, OidcPreset, ProviderConfig, ScimLink};

use crate::cli::args::{Format, Global};
use crate::cli::error::{CliError, Exit};
use crate::cli::help;
use crate::cli::output::{self, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Connect an OpenID Connect or SAML 2.0 provider; nobody signs in through it until it is enabled
    #[command(after_help = help::SSO_PROVIDER_CREATE)]
    Create(CreateArgs),
    /// List identity providers
    #[command(visible_alias = "ls", after_help = help::SSO_PROVIDER_LIST)]
    List,
    /// Show one, with what it has to be told of Updraft
    #[command(after_help = help::SSO_PROVIDER_SHOW)]
    Show(Named),
    /// Give it another client secret, or another SAML metadata
    #[command(after_help = help::SSO_PROVIDER_UPDATE)]
    Update(UpdateArgs),
    /// Test it as it is: discovery, keys, clock, client
    #[command(after_help = help::SSO_PROVIDER_TEST)]
    Test(Named),
    /// Let people sign in through it; its test has to have passed
    #[command(after_help = help::SSO_PROVIDER_ENABLE)]
    Enable(Named),
    /// Let nobody sign in through it any more
    #[command(after_help = help::SSO_PROVIDER_DISABLE)]
    Disable(Named),
    /// Delete it with the identities it vouched for
    #[command(after_help = help::SSO_PROVIDER_DELETE)]
    Delete(Named),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// What people read on the sign-in page
    name: String,
    /// What is known of the provider beforehand
    #[arg(long, value_enum, default_value_t = Preset::Generic)]
    preset: Preset,
    /// OpenID Connect: the issuer, exactly as the provider calls itself
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "metadata",
        conflicts_with = "metadata"
    )]
    issuer: Option<String>,
    /// OpenID Connect: the client's id
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "metadata",
        conflicts_with = "metadata"
    )]
    client_id: Option<String>,
    /// File with the client's secret; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "metadata")]
    secret_file: Option<PathBuf>,
    /// The claim with the groups
    #[arg(long, value_name = "CLAIM", conflicts_with = "metadata")]
    groups_claim: Option<String>,
    /// A scope besides openid, email and profile; may be given several times
    #[arg(long, value_name = "SCOPE", conflicts_with = "metadata")]
    scope: Vec<String>,
    /// Google: only people of this hosted domain; may be given several times
    #[arg(long, value_name = "DOMAIN", conflicts_with = "metadata")]
    hosted_domain: Vec<String>,
    /// By what a first sign-in is found to be a person of the directory (SCIM); by default what is safe with the preset
    #[arg(long, value_enum, conflicts_with = "metadata")]
    link_scim_by: Option<Link>,
    /// SAML 2.0: file with the provider's metadata
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct UpdateArgs {
    /// Name or id
    provider: String,
    /// Another name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// File with the client's new secret; - reads standard input
    #[arg(long, value_name = "FILE", group = "change")]
    secret_file: Option<PathBuf>,
    /// File with the provider's new metadata
    #[arg(long, value_name = "FILE", group = "change")]
    metadata: Option<PathBuf>,
    /// OpenID Connect: by what a first sign-in is found to be a person of the directory (SCIM)
    #[arg(long, value_enum, group = "change", conflicts_with = "metadata")]
    link_scim_by: Option<Link>,
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Name or id
    provider: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    Generic,
    Google,
    Okta,
    Entra,
    Keycloak,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Link {
    /// By nothing: they are somebody new
    Nothing,
    /// By externalId, which is the provider's `sub`, or Entra's `oid`
    ExternalId,
    /// By userName, which is `preferred_username`: only where nobody may choose theirs
    UserName,
}

// === impl ProviderCommand ===

impl ProviderCommand {
    pub(super) async fn run(self, client: &Client, global: &Global) -> Result<(), CliError> {
        match self {
            Self::Create(args) => create(client, args, global).await,
            Self::List => list(client, global).await,
            Self::Show(args) => show(&named(client, &args.provider).await?, global),
            Self::Update(args) => update(client, args, global).await,
            Self::Test(args) => test(client, &args, global).await,
            Self::Enable(args) => {
                let id = named(client, &args.provider).await?.id;
                show(&client.enable_identity_provider(id).await?, global)
            }
            Self::Disable(args) => {
                let id = named(client, &args.provider).await?.id;
                show(&client.disable_identity_provider(id).await?, global)
            }
            Self::Delete(args) => {
                let id = named(client, &args.provider).await?.id;
                Ok(client.delete_identity_provider(id).await?)
            }
        }
    }
}

async fn create(client: &Client, args: CreateArgs, global: &Global) -> Result<(), CliError> {
    let metadata = args.metadata.as_deref().map(read).transpose()?;
    let config = args.issuer.zip(args.client_id).map(|(issuer, client_id)| {
        ProviderConfig::Oidc(OidcConfig {
            issuer,
            client_id,
            preset: args.preset.into(),
            scopes: args.scope,
            groups_claim: args.groups_claim,
            hosted_domains: args.hosted_domain,
            link_scim_by: args.link_scim_by.map(Into::into),
        })
    });
    let new = NewIdentityProvider {
        id: None,
        name: args.name,
        config,
        metadata,
        secret: args.secret_file.as_deref().map(read_line).transpose()?,
    };
    show(&client.create_identity_provider(&new).await?, global)
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let all = client.identity_providers().await?;
    if global.output == Format::Json {
        return output::json(&all);
    }
    let mut table = Table::new(["NAME", "PROTOCOL", "STATE", "ISSUER", "ID"]);
    for view in all {
        let (protocol, issuer) = match &view.config {
            ProviderConfig::Oidc(oidc) => ("oidc", oidc.issuer.clone()),
            ProviderConfig::Saml(saml) => ("saml", saml.entity_id.clone()),
        };
        let state = state(&view).to_owned();
        table.row([view.name, protocol.to_owned(), state, issuer, view.id.to_string()]);
    }
    output::print(&table.render())
}

async fn update(client: &Client, args: UpdateArgs, global: &Global) -> Result<(), CliError> {
    let view = named(client, &args.provider).await?;
    let config = args
        .link_scim_by
        .map(|link| linked(&view, link.into()))
        .transpose()?;
    let update = UpdateIdentityProvider {
        name: args.name,
        config,
        metadata: args.metadata.as_deref().map(read).transpose()?,
        secret: args.secret_file.as_deref().map(read_line).transpose()?,
    };
    show(&client.update_identity_provider(view.id, &update).await?, global)
}

fn linked(view: &IdentityProviderView, link: ScimLink) -> Result<ProviderConfig, CliError> {
    match &view.config {
        ProviderConfig::Oidc(oidc) => Ok(ProviderConfig::Oidc(OidcConfig {
            link_scim_by: Some(link),
            ..oidc.clone()
        })),
        ProviderConfig::Saml(_) => Err(CliError::new(
            Exit::Usage,
            format!(
                "`{}` speaks SAML, where people are linked by their NameID",
                view.name
            ),
        )
        .next("leave out --link-scim-by")),
    }
}

async fn test(client: &Client, args: &Named, global: &Global) -> Result<(), CliError> {
    let id = named(client, &args.provider).await?.id;
    let view = client.test_identity_provider(id).await?;
    show(&view, global)?;
    match view.last_test.is_some_and(|test| test.passed) {
        true => Ok(()),
        false => Err(
            CliError::new(Exit::Failure, format!("`{}` failed its test", view.name))
                .next("correct what the checks marked `bad` say, and test it again"),
        ),
    }
}

fn show(view: &IdentityProviderView, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(view);
    }
    output::print(&format!("{}  {}  {}", view.name, state(view), view.id))?;
    let mut table = Table::new(["THE PROVIDER HAS TO KNOW", ""]);
    for (what, address) in addresses(&view.addresses) {
        table.row([what.to_owned(), address.to_owned()]);
    }
    output::print(&table.render())?;
    let Some(test) = view
        .last_test
        .as_ref()
        .filter(|test| test.version == view.version)
    else {
        return Ok(());
    };
    let mut table = Table::new(["CHECK", "OUTCOME", "WHAT WAS FOUND"]);
    for check in &test.checks {
        let outcome = match check.outcome {
            ProviderCheckOutcome::Good => "good",
            ProviderCheckOutcome::Warning => "warning",
            ProviderCheckOutcome::Bad => "bad",
        };
        table.row([check.name.clone(), outcome.to_owned(), check.text.clone()]);
    }
    output::print(&table.render())
}

fn addresses(addresses: &ProviderAddresses) -> Vec<(&'static str, &str)> {
    match addresses {
        ProviderAddresses::Oidc {
            redirect_uri,
            post_logout_redirect_uri,
            backchannel_logout_uri,
        } => vec![
            ("redirect URI", redirect_uri),
            ("after logout", post_logout_redirect_uri),
            ("back-channel logout", backchannel_logout_uri),
        ],
        ProviderAddresses::Saml {
            entity_id,
            acs_url,
            slo_url,
        } => vec![
            ("entity ID, metadata", entity_id),
            ("ACS URL", acs_url),
            ("single logout", slo_url),
        ],
    }
}

fn state(view: &IdentityProviderView) -> &'static str {
    let test = view
        .last_test
        .as_ref()
        .filter(|test| test.version == view.version);
    match (view.enabled, test.map(|test| test.passed)) {
        (true, _) => "enabled",
        (false, Some(true)) => "disabled",
        (false, Some(false)) => "test failed",
        (false, None) => "not tested",
    }
}

pub(super) async fn named(client: &Client, name: &str) -> Result<IdentityProviderView, CliError> {
    let all = client.identity_providers().await?;
    let found = all
        .into_iter()
        .find(|view| view.name.eq_ignore_ascii_case(name) || view.id.to_string() == name);
    found.ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("there is no identity provider `{name}`"))
            .next("list them with `updraft sso provider list`")
    })
}

fn read(path: &std::path::Path) -> Result<String, CliError> {
    let text = if path == std::path::Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| CliError::io(format!("{} cannot be read", path.display()), &error))
}

fn read_line(path: &std::path::Path) -> Result<String, CliError> {
    Ok(read(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

impl From<Link> for ScimLink {
    fn from(link: Link) -> Self {
        match link {
            Link::Nothing => Self::Nothing,
            Link::ExternalId => Self::ExternalId,
            Link::UserName => Self::UserName,
        }
    }
}

impl From<Preset> for OidcPreset {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::Generic => Self::Generic,
            Preset::Google => Self::Google,
            Preset::Okta => Self::Okta,
            Preset::Entra => Self::Entra,
            Preset::Keycloak => Self::Keycloak,
        }
    }
}
