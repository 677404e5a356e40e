//! Verbs that call a server, and nothing else of Updraft.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::access::AccessCommand;
use super::args::Global;
use super::audit::AuditCommand;
use super::aws_account::AwsAccountCommand;
use super::cluster::ClusterCommand;
use super::credential::CredentialCommand;
use super::dags::DagsCommand;
use super::error::CliError;
use super::person::PersonCommand;
use super::secrets::SecretsCommand;
use super::service_account::ServiceAccountCommand;
use super::sessions::SessionCommand;
use super::sso::SsoCommand;
use super::tenant::TenantCommand;
use super::token::TokenCommand;
use super::{completions, help, logs, session, status};

#[derive(Debug, Subcommand)]
pub(crate) enum RemoteCommand {
    /// Sign in to a server and remember it
    #[command(after_help = help::LOGIN)]
    Login(session::LoginArgs),
    /// End the session and forget its token
    #[command(after_help = help::LOGOUT)]
    Logout,
    /// Show the server, who is signed in, and the clusters
    #[command(after_help = help::STATUS)]
    Status,
    /// Create, see and change clusters
    Cluster(Box<ClusterArgs>),
    /// Read and follow what services and tasks write
    #[command(after_help = help::LOGS)]
    Logs(logs::LogsArgs),
    /// Push DAGs, see how far they came, go back to an earlier version
    Dags(DagsArgs),
    /// Keep what clusters prove themselves with elsewhere
    Credential(CredentialArgs),
    /// Have nodes in your own AWS accounts
    AwsAccount(AwsAccountArgs),
    /// Keep secrets of a cluster's tasks: variables, connections
    Secrets(SecretsArgs),
    /// See who has access to clusters and why; make rules that give it
    Access(AccessArgs),
    /// See and switch tenants; operators make, change and delete them
    Tenant(TenantArgs),
    /// Connect identity providers, prove domains, set rules for signing in
    Sso(SsoArgs),
    /// See the tenant's people; hand out links to set passwords, take lost second factors away
    Person(PersonArgs),
    /// See where you are signed in, and end it
    Session(SessionArgs),
    /// See who did what, what was refused, and from where
    Audit(AuditArgs),
    /// Make, list and revoke API tokens
    Token(TokenArgs),
    /// Make, list and delete service accounts: programs' own accounts
    ServiceAccount(ServiceAccountArgs),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Args, Debug)]
pub(crate) struct DagsArgs {
    #[command(subcommand)]
    command: DagsCommand,
}

#[derive(Args, Debug)]
pub(crate) struct AwsAccountArgs {
    #[command(subcommand)]
    command: AwsAccountCommand,
}

#[derive(Args, Debug)]
pub(crate) struct CredentialArgs {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Args, Debug)]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Args, Debug)]
pub(crate) struct TenantArgs {
    #[command(subcommand)]
    command: TenantCommand,
}

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Args, Debug)]
pub(crate) struct ServiceAccountArgs {
    #[command(subcommand)]
    command: ServiceAccountCommand,
}

#[derive(Args, Debug)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Args, Debug)]
pub(crate) struct SsoArgs {
    #[command(subcommand)]
    command: SsoCommand,
}

#[derive(Args, Debug)]
pub(crate) struct PersonArgs {
    #[command(subcommand)]
    command: PersonCommand,
}

#[derive(Args, Debug)]
pub(crate) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

/// Carries out one verb, prints what it has to show or why it failed, and says how the process ends.
pub(crate) async fn run(command: RemoteCommand, global: &Global) -> ExitCode {
    match carry_out(command, global).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            error.exit.into()
        }
    }
}

async fn carry_out(command: RemoteCommand, global: &Global) -> Result<(), CliError> {
    match command {
        RemoteCommand::Login(args) => session::login(&args, global).await,
        RemoteCommand::Logout => session::logout(global).await,
        RemoteCommand::Status => status::status(global).await,
        RemoteCommand::Cluster(args) => args.command.run(global).await,
        RemoteCommand::Logs(args) => logs::logs(args, global).await,
        RemoteCommand::Dags(args) => args.command.run(global).await,
        RemoteCommand::AwsAccount(args) => args.command.run(global).await,
        RemoteCommand::Credential(args) => args.command.run(global).await,
        RemoteCommand::Secrets(args) => args.command.run(global).await,
        RemoteCommand::Access(args) => args.command.run(global).await,
        RemoteCommand::Tenant(args) => args.command.run(global).await,
        RemoteCommand::Sso(args) => args.command.run(global).await,
        RemoteCommand::Person(args) => args.command.run(global).await,
        RemoteCommand::Session(args) => args.command.run(global).await,
        RemoteCommand::Audit(args) => args.command.run(global).await,
        RemoteCommand::Token(args) => args.command.run(global).await,
        RemoteCommand::ServiceAccount(args) => args.command.run(global).await,
        RemoteCommand::Completions(args) => completions::completions(&args),
    }
}
