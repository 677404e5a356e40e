//! Arguments shared by verbs, and those of the local ones.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use updraft_app::AirflowUrl;

use super::help;
use updraft_authz::TrustedProxy;
use updraft_aws::PrincipalArn;
use updraft_control::mail::{MailFrom, SmtpUrl};
use updraft_sso::outbound::Destination;
use url::Url;

#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Address of the Updraft server [default: the one signed in to, else http://localhost:7700]
    #[arg(
        long,
        global = true,
        env = "UPDRAFT_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) url: Option<String>,
    /// How to print results; progress goes to standard error
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: the REST API's own bodies
    Json,
}

/// Whether a verb returns at once or when its operation has ended.
#[derive(Args, Debug)]
pub(crate) struct Waiting {
    /// Show progress and return when the operation has ended
    #[arg(long)]
    pub(crate) wait: bool,
    /// Longest time to wait, for example 90s, 10m or 1h; the operation goes on after it
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration, requires = "wait")]
    pub(crate) timeout: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Where everything is installed and kept [default: $XDG_DATA_HOME/updraft or ~/.local/share/updraft]
    #[arg(long, value_name = "DIR", env = "UPDRAFT_DATA_DIR", hide_env_values = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// First of the ports in use: console on this one, Airflow on the next, then internal ones
    /// [default: 7700, and ever after what the first start was told]
    #[arg(long, value_name = "PORT")]
    pub(crate) port_base: Option<u16>,
    /// Address template of Airflows: {cluster} is a cluster's number, {tenant} its tenant's id, {cluster_ip} a loopback
    /// address of its own [default: `http://{cluster_ip}:7701/airflow-webserver-{cluster}/`]
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) airflow_url: Option<AirflowUrl>,
    /// A private host[:port] that identity providers of tenants may be on, without TLS too; may be given several times
    #[arg(long, value_name = "DESTINATION")]
    pub(crate) outbound_allow: Vec<Destination>,
    /// A proxy before this installation, or a network of such: `X-Forwarded-For` is believed from there alone, for limits on
    /// sign-in and the audit log; may be given several times [default: none, and the header is ignored]
    #[arg(long, value_name = "CIDR")]
    pub(crate) trusted_proxy: Vec<TrustedProxy>,
    /// Mail server that links to set a forgotten password go out by: smtps://user@host:465, or smtp://user@host:587 with
    /// STARTTLS [default: none, and no such links]
    #[arg(long, value_name = "URL", requires = "mail_from")]
    pub(crate) smtp_url: Option<SmtpUrl>,
    /// File that holds the mail server's password
    #[arg(long, value_name = "FILE", requires = "smtp_url")]
    pub(crate) smtp_password_file: Option<PathBuf>,
    /// Whom mail is from, for example `Updraft <updraft@example.com>`
    #[arg(long, value_name = "ADDRESS", requires = "smtp_url")]
    pub(crate) mail_from: Option<MailFrom>,
    /// Package index that clusters' own packages come from [default: https://pypi.org/simple]
    #[arg(long, value_name = "URL")]
    pub(crate) package_index: Option<Url>,
    /// Who this installation is at AWS, for tenants' trust policies to name: a role, a user or an account, whose credentials
    /// are in the environment (AWS_ACCESS_KEY_ID, …) or the machine's [default: none, and no credentials of kind aws_role]
    #[arg(long, value_name = "ARN")]
    pub(crate) aws_identity: Option<PrincipalArn>,
    /// Region whose AWS is asked for tenants' roles
    #[arg(
        long,
        value_name = "REGION",
        default_value = "us-east-1",
        requires = "aws_identity"
    )]
    pub(crate) aws_region: String,
    /// Where it is asked instead of at AWS's own address
    #[arg(long, value_name = "URL", requires = "aws_identity")]
    pub(crate) aws_endpoint: Option<Url>,
    /// How often identity providers are asked again about people who are signed in, at most 15m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_refresh)]
    pub(crate) identity_refresh: Duration,
    /// How long a queue that scales by itself needs fewer workers before some go, at most 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_cool_down)]
    pub(crate) scale_in_after: Duration,
    /// Reach Airflow's web nodes through tunnels that they dial, as in a network that lets nothing in
    #[arg(long)]
    pub(crate) tunnels: bool,
    /// Do not create the cluster `demo` at the first start
    #[arg(long)]
    pub(crate) no_demo: bool,
    /// Answer yes to questions, such as whether to repair a damaged data directory
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DownArgs {
    /// The data directory given to `updraft up`
    #[arg(long, value_name = "DIR", env = "UPDRAFT_DATA_DIR", hide_env_values = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct OperatorArgs {
    /// The data directory given to `updraft up`
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "UPDRAFT_DATA_DIR",
        hide_env_values = true
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// Control's configuration, where it runs as a service
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "data_dir")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: OperatorCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Make the first tenant, whose owner is an operator: once, where control runs as a service
    ///
    /// `updraft up` does so by itself. A tenant of this name that is there already stays as it is.
    #[command(after_help = help::OPERATOR_INIT)]
    Init(OperatorInit),
    /// List the operators
    #[command(visible_alias = "ls", after_help = help::OPERATOR)]
    List,
    /// Make a person an operator: a local account, which signs in with a password
    #[command(after_help = help::OPERATOR)]
    Grant(OperatorPerson),
    /// Take it away again
    #[command(after_help = help::OPERATOR)]
    Revoke(OperatorPerson),
    /// After control's database was restored: show the nodes that it does not know, and let go of the hold
    #[command(after_help = help::OPERATOR_RESTORED)]
    Restored(OperatorRestored),
    /// Show how far another agent has got on its way to nodes that run
    #[command(after_help = help::OPERATOR_AGENTS)]
    Agents(OperatorAgents),
    /// Exchange the master key, under which all secrets lie, while everything goes on
    #[command(after_help = help::OPERATOR_MASTER_KEY)]
    RotateMasterKey(OperatorMasterKey),
    /// Exchange the installation's signing keys, while everything goes on
    #[command(after_help = help::OPERATOR_KEYS)]
    RotateKeys(OperatorKeys),
}

#[derive(Args, Debug)]
pub(crate) struct OperatorKeys {
    /// Change nothing: say which keys there are, and who is waited for
    #[arg(long)]
    pub(crate) status: bool,
    /// They may be known to others: end them at once, though requests fail for some seconds
    #[arg(long, conflicts_with = "status")]
    pub(crate) compromised: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OperatorMasterKey {
    /// Change nothing: say which keys there are and how many secrets lie under each
    #[arg(long)]
    pub(crate) status: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OperatorRestored {
    /// End these nodes, and go on as ever
    #[arg(long)]
    pub(crate) confirm: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OperatorAgents {
    /// Go on after a node failed
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OperatorInit {
    /// The tenant's name
    #[arg(long, default_value = "main")]
    pub(crate) tenant: String,
    /// The owner's e-mail address
    #[arg(long)]
    pub(crate) email: String,
    /// Holds the owner's password
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct OperatorPerson {
    /// The account's e-mail address
    pub(crate) email: String,
}

#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Configuration file; `updraft up` writes one for each of its processes
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct AgentArgs {
    /// What this node needs to introduce itself to control, once
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: PathBuf,

    /// The node is gone: ship what it left of its logs, and end
    #[arg(long)]
    pub(crate) remains: bool,
}

/// `90s`, `10m`, `1h`, or plain seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds_per = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("write it as 90s, 10m or 1h".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "it begins with no number".to_owned())?;
    number
        .checked_mul(seconds_per)
        .map(Duration::from_secs)
        .ok_or_else(|| "it is too long".to_owned())
}

/// A changed group must not go unnoticed for longer.
fn parse_refresh(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if (1..=900).contains(&time.as_secs()) {
        Ok(time)
    } else {
        Err("it is 1s to 15m".to_owned())
    }
}

fn parse_cool_down(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if (1..=3600).contains(&time.as_secs()) {
        Ok(time)
    } else {
        Err("it is 1s to 1h".to_owned())
    }
}

/// `section.key=value`
pub(crate) fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as section.key=value, for example core.parallelism=16".to_owned()),
    }
}

/// `key=value`; the value may be empty.
pub(crate) fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as key=value, for example env=prod".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_unit() {
        let seconds = |text| parse_duration(text).map(|time| time.as_secs());
        assert_eq!(
            [seconds("90s"), seconds("10m"), seconds("1h"), seconds("5")],
            [90, 600, 3600, 5].map(Ok)
        );
        for bad in ["", "m", "1d", "-1s", "1.5h", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_option_has_a_section_and_may_hold_equal_signs() {
        assert_eq!(
            parse_option("core.x=a=b"),
            Ok(("core.x".to_owned(), "a=b".to_owned()))
        );
        assert!(parse_option("core=1").is_err() && parse_option("core.x").is_err());
    }

    #[test]
    fn a_tag_has_a_key_and_perhaps_a_value() {
        let tag = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_tag("env=prod"), tag("env", "prod"));
        assert_eq!(parse_tag("critical="), tag("critical", ""));
        assert!(parse_tag("env").is_err() && parse_tag("=prod").is_err());
    }
}
