//! Signing in through a browser, here or on another machine (RFC 8628).

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use secrecy::SecretString;
use updraft_api::device::{DeviceAuthorized, DeviceError, DeviceToken};
use updraft_client::Client;

use super::credentials::SignIn;
use super::error::{CliError, Exit};
use super::open;

/// RFC 8628, section 3.5: added when the server says that polls come too fast.
const SLOWER: Duration = Duration::from_secs(5);

/// Shows the code and waits until somebody has decided.
pub(super) async fn sign_in(client: &Client) -> Result<SignIn, CliError> {
    let asked = client.authorize_device(&this_program()).await?;
    eprintln!(
        "Open {} in a browser and enter the code\n\n    {}\n",
        asked.verification_uri, asked.user_code
    );
    if open::in_browser(&asked.verification_uri_complete) {
        eprintln!("Your browser was opened there.");
    }
    eprintln!("Waiting for you to approve … (Ctrl-C gives up)");
    let token = decision(client, asked).await?;
    let seconds = i64::try_from(token.expires_in).unwrap_or(i64::MAX);
    let token_text = SecretString::from(token.access_token);
    let me = client.clone().with_token(token_text.clone()).me().await?;
    Ok(SignIn {
        email: me.email,
        token: token_text,
        expires_at: TimeDelta::try_seconds(seconds).map(|lasts| Utc::now() + lasts),
    })
}

async fn decision(client: &Client, asked: DeviceAuthorized) -> Result<DeviceToken, CliError> {
    let code = SecretString::from(asked.device_code);
    let mut pause = Duration::from_secs(asked.interval.max(1));
    loop {
        tokio::time::sleep(pause).await;
        match client.poll_device(&code).await? {
            Ok(token) => return Ok(token),
            Err(DeviceError::AuthorizationPending) => {}
            Err(DeviceError::SlowDown) => pause += SLOWER,
            Err(DeviceError::AccessDenied) => {
                return Err(CliError::new(
                    Exit::Refused,
                    "the sign-in was denied in the browser",
                ));
            }
            Err(DeviceError::ExpiredToken) => {
                return Err(CliError::new(Exit::Timeout, "nobody approved within 10 minutes")
                    .next("run `updraft login` again"));
            }
            Err(
                DeviceError::InvalidGrant | DeviceError::InvalidRequest | DeviceError::UnsupportedGrantType,
            ) => {
                return Err(
                    CliError::new(Exit::Failure, "the server does not know this sign-in any more")
                        .next("run `updraft login` again"),
                );
            }
        }
    }
}

/// What the person is shown as asking.
fn this_program() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "updraft command line".to_owned(),
        host => format!("updraft on {host}").chars().take(100).collect(),
    }
}
