//! `updraft sso rules`

use std::time::Duration;

use clap::Args;
use updraft_api::sign_in::UpdateSignInRules;
use updraft_client::Client;

use crate::cli::args::{Format, Global, parse_duration};
use crate::cli::error::CliError;
use crate::cli::output;

#[derive(Args, Debug)]
pub(crate) struct RulesArgs {
    /// Allow passwords of Updraft's own, or don't
    #[arg(long, value_name = "BOOL")]
    passwords: Option<bool>,
    /// The longest a session lasts, 5m to 720h; 0 is the installation's limit
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    session: Option<Duration>,
}

pub(super) async fn rules(client: &Client, args: &RulesArgs, global: &Global) -> Result<(), CliError> {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let update = UpdateSignInRules {
        password_sign_in: args.passwords,
        session_seconds: args.session.map(seconds),
    };
    let changes = update.password_sign_in.is_some() || update.session_seconds.is_some();
    let rules = match changes {
        true => client.update_sign_in_rules(&update).await?,
        false => client.sign_in_rules().await?,
    };
    if global.output == Format::Json {
        return output::json(&rules);
    }
    let passwords = if rules.password_sign_in {
        "allowed"
    } else {
        "not allowed"
    };
    let session = match rules.session_seconds {
        Some(seconds) => format!("{seconds} s"),
        None => "the installation's limit".to_owned(),
    };
    output::print(&format!("passwords  {passwords}\nsessions   {session}"))
}
