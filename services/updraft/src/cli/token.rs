//! `updraft token …`: API tokens for programs.

use clap::{Args, Subcommand, ValueEnum};
use updraft_api::tokens::{NewToken, TokenView};
use updraft_client::Client;
use updraft_model::{TokenId, TokenLimit};

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, service_account, session};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once
    #[command(after_help = help::TOKEN_CREATE)]
    Create(CreateArgs),
    /// List your tokens, or as an owner everybody's
    #[command(visible_alias = "ls", after_help = help::TOKEN_LIST)]
    List,
    /// Make a token worthless, at once and for good
    #[command(after_help = help::TOKEN_REVOKE)]
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// To recognise it by
    name: String,
    /// The most that it may do; its owner's own roles bound it too
    #[arg(long, value_enum)]
    role: Role,
    /// Days until it expires, 1 to 365 [default: 90]
    #[arg(long, value_name = "N", conflicts_with = "never_expires")]
    days: Option<u32>,
    /// Good until revoked (owners)
    #[arg(long)]
    never_expires: bool,
    /// The service account it is for (owners) [default: yourself]
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// All that its owner may, except what takes a person who has signed in
    Full,
    /// Cluster admin at most
    Admin,
    /// Cluster user at most
    User,
    /// SCIM alone
    Scim,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Id, or name when no other token has it
    token: String,
}

// === impl TokenCommand ===

impl TokenCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Create(args) => create(client, args, global).await,
            Self::List => list(client, global).await,
            Self::Revoke(args) => revoke(client, &args).await,
        }
    }
}

async fn create(client: &Client, args: CreateArgs, global: &Global) -> Result<(), CliError> {
    let service_account = match &args.service_account {
        Some(name) => Some(service_account::named(client, name).await?.user),
        None => None,
    };
    let new = NewToken {
        name: args.name,
        role: args.role.into(),
        expires_in_days: args.days,
        never_expires: args.never_expires,
        service_account,
    };
    let made = client.create_token(&new).await?;
    match global.output {
        Format::Json => output::json(&made),
        Format::Table => {
            eprintln!("This is shown once:");
            output::print(&made.text)
        }
    }
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let tokens = client.tokens().await?;
    if global.output == Format::Json {
        return output::json(&tokens);
    }
    let mut table = Table::new(["ID", "NAME", "OWNER", "ROLE", "ENDS IN", "EXPIRES", "LAST USED"]);
    for token in &tokens {
        table.row([
            token.id.to_string(),
            token.name.clone(),
            token.owner_email.clone(),
            word(token.role).to_owned(),
            format!("…{}", token.hint),
            token.expires_at.map_or_else(|| "never".to_owned(), day),
            token.used_at.map_or_else(|| "never".to_owned(), day),
        ]);
    }
    output::print(&table.render())
}

async fn revoke(client: &Client, args: &RevokeArgs) -> Result<(), CliError> {
    let token = meant(&args.token, client.tokens().await?)?;
    client.revoke_token(token.id).await?;
    output::print(&format!("Revoked `{}` (…{}).", token.name, token.hint))
}

fn meant(given: &str, tokens: Vec<TokenView>) -> Result<TokenView, CliError> {
    let id = given.parse::<TokenId>().ok();
    let mut found = tokens
        .into_iter()
        .filter(|token| Some(token.id) == id || token.name == given);
    match (found.next(), found.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(
            CliError::new(Exit::NotFound, format!("there is no token `{given}`"))
                .next("list them with `updraft token list`"),
        ),
        (Some(_), Some(_)) => Err(
            CliError::new(Exit::Usage, format!("several tokens are called `{given}`"))
                .next("give the id of the one you mean: `updraft token list`"),
        ),
    }
}

fn day(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn word(role: TokenLimit) -> &'static str {
    match role {
        TokenLimit::Full => "full",
        TokenLimit::Admin => "admin",
        TokenLimit::User => "user",
        TokenLimit::Scim => "scim",
    }
}

impl From<Role> for TokenLimit {
    fn from(role: Role) -> Self {
        match role {
            Role::Full => Self::Full,
            Role::Admin => Self::Admin,
            Role::User => Self::User,
            Role::Scim => Self::Scim,
        }
    }
}
