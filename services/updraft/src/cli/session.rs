//! Signing in and out, and the client that every other verb uses.

use std::io::{self, BufRead as _, IsTerminal as _};

use chrono::{DateTime, Utc};
use clap::Args;
use secrecy::SecretString;
use updraft_client::{Client, ClientError};

use super::args::{Format, Global};
use super::credentials::{CredentialsFile, SignIn};
use super::error::{CliError, Exit};
use super::{device, output};

const DEFAULT_SERVER: &str = "http://localhost:7700";

#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// Address of the server [default: --url, UPDRAFT_URL, the last one, or http://localhost:7700]
    server: Option<String>,
    /// Sign in with the password of this address instead of through the browser; it is asked for
    #[arg(long)]
    email: Option<String>,
    /// Read the password from standard input, its first line; a code, if one is asked for, from the second
    #[arg(long, requires = "email")]
    password_stdin: bool,
    /// Read an API token from standard input, its first line, and use it from now on
    #[arg(long, conflicts_with_all = ["email", "password_stdin"])]
    token_stdin: bool,
}

pub(super) async fn login(args: &LoginArgs, global: &Global) -> Result<(), CliError> {
    let credentials = CredentialsFile::of_user()?.read()?;
    let given = args
        .server
        .clone()
        .or_else(|| global.url.clone())
        .or_else(|| credentials.current.clone());
    let client = Client::new(given.as_deref().unwrap_or(DEFAULT_SERVER))?;
    let sign_in = match &args.email {
        Some(email) => by_password(&client, email, args).await?,
        None if args.token_stdin => by_token(&client).await?,
        None => device::sign_in(&client).await?,
    };
    let server = client.server();
    let me = client.with_token(sign_in.token.clone()).me().await?;
    keep(&server, sign_in)?;
    match global.output {
        Format::Json => output::json(&me),
        Format::Table => output::print(&format!(
            "Signed in to {server} as {} ({}).",
            me.email, me.tenant_name
        )),
    }
}

pub(super) async fn logout(global: &Global) -> Result<(), CliError> {
    let file = CredentialsFile::of_user()?;
    let mut credentials = file.read()?;
    let server = server(global, credentials.current.as_deref())?;
    let Some(sign_in) = credentials.servers.remove(&server) else {
        return Err(CliError::new(
            Exit::NotFound,
            format!("you are not signed in to {server}"),
        ));
    };
    let ended = Client::new(&server)?.with_token(sign_in.token).sign_out().await;
    if credentials.current.as_ref() == Some(&server) {
        credentials.current = None;
    }
    file.write(&credentials)?;
    match ended {
        // Already over is what was wanted.
        Ok(()) => output::print(&format!("Signed out of {server}.")),
        Err(error) if error.status() == Some(401) => output::print(&format!("Signed out of {server}.")),
        // An API token has no session to end.
        Err(error) if error.status() == Some(403) => output::print(&format!(
            "Forgot the API token for {server}. It is still good: `updraft token revoke` ends it."
        )),
        Err(error) => Err(CliError::from(error).next(format!(
            "the token is forgotten here, but lives on at {server} until it expires"
        ))),
    }
}

/// Replaces the stored sign-in to a server.
pub(super) fn remember(
    server: &str,
    email: &str,
    token: SecretString,
    expires_at: DateTime<Utc>,
) -> Result<(), CliError> {
    let sign_in = SignIn {
        email: email.to_owned(),
        token,
        expires_at: Some(expires_at),
    };
    keep(server, sign_in)
}

fn keep(server: &str, sign_in: SignIn) -> Result<(), CliError> {
    let file = CredentialsFile::of_user()?;
    let mut credentials = file.read()?;
    credentials.servers.insert(server.to_owned(), sign_in);
    credentials.current = Some(server.to_owned());
    file.write(&credentials)
}

/// A client with the caller's token.
pub(super) fn connect(global: &Global) -> Result<Client, CliError> {
    if let Some(token) = std::env::var("UPDRAFT_TOKEN")
        .ok()
        .filter(|token| !token.is_empty())
    {
        let server = server(global, None)?;
        return Ok(Client::new(&server)?.with_token(SecretString::from(token)));
    }
    let mut credentials = CredentialsFile::of_user()?.read()?;
    let server = server(global, credentials.current.as_deref())?;
    match credentials.servers.remove(&server) {
        Some(sign_in) => Ok(Client::new(&server)?.with_token(sign_in.token)),
        None => Err(
            CliError::new(Exit::Refused, format!("you are not signed in to {server}"))
                .next("sign in with `updraft login`, or set UPDRAFT_TOKEN"),
        ),
    }
}

/// A client without a token, for what needs none.
pub(super) fn connect_unsigned(global: &Global) -> Result<Client, CliError> {
    let current = CredentialsFile::of_user()
        .and_then(|file| file.read())
        .ok()
        .and_then(|known| known.current);
    Ok(Client::new(&server(global, current.as_deref())?)?)
}

/// In the one spelling that credentials are kept under.
fn server(global: &Global, current: Option<&str>) -> Result<String, CliError> {
    let given = global.url.as_deref().or(current).unwrap_or(DEFAULT_SERVER);
    Ok(Client::new(given)?.server())
}

async fn by_password(client: &Client, email: &str, args: &LoginArgs) -> Result<SignIn, CliError> {
    let password = password(args, email)?;
    let signed_in = match client.sign_in(email, &password, None).await {
        Err(error) if takes_code(&error) => client.sign_in(email, &password, Some(&code()?)).await?,
        other => other?,
    };
    Ok(SignIn {
        email: signed_in.me.email,
        token: SecretString::from(signed_in.token),
        expires_at: Some(signed_in.expires_at),
    })
}

/// Asked whose it is, so that a wrong one is not kept.
async fn by_token(client: &Client) -> Result<SignIn, CliError> {
    let token = first_line().map_err(|error| CliError::io("no token could be read", &error))?;
    let token = SecretString::from(token.trim());
    let me = client.clone().with_token(token.clone()).me().await?;
    Ok(SignIn {
        email: me.email,
        token,
        expires_at: None,
    })
}

fn first_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn takes_code(error: &ClientError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.kind.ends_with(":code-needed"))
}

/// From the terminal, or the line after the password.
fn code() -> Result<String, CliError> {
    if io::stdin().is_terminal() {
        eprint!("Code of your authenticator app: ");
    }
    let code = first_line().map_err(|error| CliError::io("no code could be read", &error))?;
    Ok(code.trim().to_owned())
}

fn password(args: &LoginArgs, email: &str) -> Result<SecretString, CliError> {
    let read = if args.password_stdin {
        first_line()
    } else {
        rpassword::prompt_password(format!("Password of {email}: "))
    };
    let password = read.map_err(|error| {
        CliError::io("no password could be read", &error).next("without a terminal use --password-stdin")
    })?;
    if password.is_empty() {
        return Err(CliError::new(Exit::Usage, "the password is empty"));
    }
    Ok(SecretString::from(password))
}
