//! `updraft aws-account …`: the organisation's own AWS accounts, in which its clusters' nodes may be.

use clap::{Args, Subcommand, ValueEnum};
use updraft_api::aws_accounts::{AwsAccountCheck, AwsAccountView, NewAwsAccount};
use updraft_client::Client;
use updraft_model::{AwsAccountConfig, AwsAccountName, AwsMachine, AwsMarket, AwsVolume, OnStop};

use super::args::{Format, Global};
use super::error::{CliError, Exit};
use super::output::{self, Table};
use super::{help, session};

#[derive(Debug, Subcommand)]
pub(crate) enum AwsAccountCommand {
    /// Begin with an AWS account: prints the trust policy to give to a role in it (owners)
    #[command(after_help = help::AWS_ACCOUNT)]
    Create {
        /// To name it by: 1 to 40 of a-z, 0-9 and `-`, beginning with a letter
        name: AwsAccountName,
    },
    /// List AWS accounts (owners)
    #[command(visible_alias = "ls", after_help = help::AWS_ACCOUNT)]
    List,
    /// Show an AWS account (owners)
    #[command(after_help = help::AWS_ACCOUNT)]
    Show {
        /// Its name
        name: AwsAccountName,
    },
    /// Say which role, where, and what nodes are; what is not given stays (owners)
    #[command(after_help = help::AWS_ACCOUNT)]
    Update(Box<UpdateArgs>),
    /// Forget an AWS account that no cluster is in (owners)
    #[command(after_help = help::AWS_ACCOUNT)]
    Delete {
        /// Its name
        name: AwsAccountName,
    },
    /// Exchange its external id for a new one, while nodes run (owners)
    ///
    /// Makes the next external id and prints the trust policy that lets Updraft in by both. With --finish, once the role has it, the
    /// next one takes the place of the present one; until then nothing depends on it.
    #[command(after_help = help::AWS_ACCOUNT_ROTATE)]
    RotateExternalId {
        /// Its name
        name: AwsAccountName,
        /// Use the next one from now on, if AWS lets Updraft in by it; else the present one stays
        #[arg(long)]
        finish: bool,
        /// Forget the next one
        #[arg(long, conflicts_with = "finish")]
        cancel: bool,
    },
    /// Ask AWS whether nodes could start there; takes seconds and makes nothing (owners)
    ///
    /// Exits with 1 when something is wrong.
    #[command(after_help = help::AWS_ACCOUNT)]
    Check {
        /// Its name
        name: AwsAccountName,
    },
}

#[derive(Args, Debug)]
pub(crate) struct UpdateArgs {
    /// Its name
    name: AwsAccountName,
    /// The role that Updraft assumes: arn:aws:iam::123456789012:role/updraft-control
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// For example eu-central-1
    #[arg(long)]
    region: Option<String>,
    /// A subnet that nodes are in; may be given several times, all of one VPC
    #[arg(long = "subnet", value_name = "ID")]
    subnets: Vec<String>,
    /// A security group of that VPC; may be given several times
    #[arg(
        long = "security-group",
        value_name = "ID",
        conflicts_with = "own_security_groups"
    )]
    security_groups: Vec<String>,
    /// Make a security group for each cluster
    #[arg(long)]
    own_security_groups: bool,
    /// Name or ARN of what gives nodes their role
    #[arg(long, value_name = "NAME")]
    instance_profile: Option<String>,
    /// An image's id, or the name of an SSM parameter that has it
    #[arg(long)]
    image: Option<String>,
    /// Instance type of scheduler nodes, for example m7i.large
    #[arg(long, value_name = "TYPE")]
    scheduler_type: Option<String>,
    /// Instance type of web nodes
    #[arg(long, value_name = "TYPE")]
    web_type: Option<String>,
    /// Instance type of worker nodes
    #[arg(long, value_name = "TYPE")]
    worker_type: Option<String>,
    /// Whether AWS may take workers back; takes the worker's instance type
    #[arg(long, value_name = "MARKET", requires = "worker_type")]
    worker_market: Option<Market>,
    /// Size of each node's disk; takes its device
    #[arg(long, value_name = "GIB", requires = "root_device")]
    root_gib: Option<u32>,
    /// The image's root device, for example /dev/xvda; takes the disk's size
    #[arg(long, value_name = "DEVICE", requires = "root_gib")]
    root_device: Option<String>,
    /// Id or ARN of the KMS key of each node's disk
    #[arg(long, value_name = "KEY", requires = "root_gib")]
    kms_key: Option<String>,
    /// What becomes of machines of stopped clusters that do not say so themselves, as for clusters
    #[arg(long, value_name = "end|keep")]
    on_stop: Option<OnStop>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Market {
    OnDemand,
    Spot,
}

// === impl AwsAccountCommand ===

impl AwsAccountCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = &session::connect(global)?;
        match self {
            Self::Create { name } => {
                let made = client.create_aws_account(&NewAwsAccount { name }).await?;
                told(&made, global)
            }
            Self::List => list(client, global).await,
            Self::Show { name } => show(&client.aws_account(&name).await?, global),
            Self::Update(args) => {
                let before = client.aws_account(&args.name).await?;
                let name = args.name.clone();
                let config = args.over(before.config)?;
                show(&client.update_aws_account(&name, &config).await?, global)
            }
            Self::Delete { name } => {
                client.delete_aws_account(&name).await?;
                output::print(&format!("Forgot `{name}`."))
            }
            Self::RotateExternalId {
                name, cancel: true, ..
            } => {
                client.drop_next_external_id(&name).await?;
                output::print(&format!(
                    "Forgot the next external id of `{name}`; the present one stays. Take the other out of the role's trust policy."
                ))
            }
            Self::RotateExternalId {
                name, finish: true, ..
            } => rotated(&client.use_next_external_id(&name).await?, global),
            Self::RotateExternalId { name, .. } => {
                rotating(&client.make_next_external_id(&name).await?, global)
            }
            Self::Check { name } => checked(&client.check_aws_account(&name).await?, global),
        }
    }
}

// === impl UpdateArgs ===

impl UpdateArgs {
    /// What is given, in place of what was said before.
    fn over(self, before: Option<AwsAccountConfig>) -> Result<AwsAccountConfig, CliError> {
        let mut config = match before {
            Some(config) => config,
            None => self.first()?,
        };
        let given = |new: Option<String>, old: &mut String| *old = new.unwrap_or_else(|| old.clone());
        given(self.role_arn, &mut config.role_arn);
        given(self.region, &mut config.region);
        given(self.instance_profile, &mut config.instance_profile);
        if !self.subnets.is_empty() {
            config.subnets = self.subnets;
        }
        if self.own_security_groups || !self.security_groups.is_empty() {
            config.security_groups = self.security_groups;
        }
        let market = self.worker_market.map_or(AwsMarket::default(), AwsMarket::from);
        let machine = |instance_type, market| AwsMachine {
            instance_type,
            market,
        };
        let on_demand = |instance_type| machine(instance_type, AwsMarket::OnDemand);
        config.image = self.image.or(config.image);
        config.scheduler = self.scheduler_type.map(on_demand).or(config.scheduler);
        config.web = self.web_type.map(on_demand).or(config.web);
        let worker = self
            .worker_type
            .map(|instance_type| machine(instance_type, market));
        config.worker = worker.or(config.worker);
        let (device, kms_key) = (self.root_device, self.kms_key);
        let volume = self.root_gib.zip(device);
        let volume = volume.map(|(gib, device)| AwsVolume { gib, device, kms_key });
        config.root_volume = volume.or(config.root_volume);
        config.on_stop = self.on_stop.or(config.on_stop);
        Ok(config)
    }

    fn first(&self) -> Result<AwsAccountConfig, CliError> {
        let needs = |given: &Option<String>, flag: &str| {
            let missing = || CliError::new(Exit::Usage, format!("the first time, {flag} has to be given"));
            given.clone().ok_or_else(missing)
        };
        if self.subnets.is_empty() {
            return Err(CliError::new(
                Exit::Usage,
                "the first time, --subnet has to be given",
            ));
        }
        Ok(AwsAccountConfig {
            role_arn: needs(&self.role_arn, "--role-arn")?,
            region: needs(&self.region, "--region")?,
            subnets: self.subnets.clone(),
            security_groups: Vec::new(),
            instance_profile: needs(&self.instance_profile, "--instance-profile")?,
            image: None,
            scheduler: None,
            web: None,
            worker: None,
            root_volume: None,
            on_stop: None,
        })
    }
}

impl From<Market> for AwsMarket {
    fn from(market: Market) -> Self {
        match market {
            Market::OnDemand => Self::OnDemand,
            Market::Spot => Self::Spot,
        }
    }
}

fn told(made: &AwsAccountView, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(made);
    }
    let name = &made.name;
    eprintln!("Began with `{name}`. External id: {}", made.external_id);
    eprintln!(
        "Make a role there with this trust policy, then `updraft aws-account update {name} --role-arn …`:"
    );
    output::print(made.trust_policy.as_deref().unwrap_or_default())
}

fn rotating(account: &AwsAccountView, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(account);
    }
    let name = &account.name;
    let next = account.next_external_id.as_deref().unwrap_or_default();
    eprintln!("The next external id of `{name}`: {next}. Nothing uses it yet.");
    eprintln!(
        "Let the role take both, by this trust policy or by `other_external_ids = [\"{next}\"]` of the Terraform module, and a minute \
         later: `updraft aws-account rotate-external-id {name} --finish`"
    );
    output::print(account.trust_policy.as_deref().unwrap_or_default())
}

fn rotated(account: &AwsAccountView, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(account);
    }
    let (name, id) = (&account.name, &account.external_id);
    eprintln!("Updraft enters `{name}` by {id} from now on.");
    eprintln!(
        "In a minute take the one before out of the role, by this trust policy or by `external_id = \"{id}\"` of the Terraform module \
         without `other_external_ids`:"
    );
    output::print(account.trust_policy.as_deref().unwrap_or_default())
}

async fn list(client: &Client, global: &Global) -> Result<(), CliError> {
    let accounts = client.aws_accounts().await?;
    if global.output == Format::Json {
        return output::json(&accounts);
    }
    let mut table = Table::new(["NAME", "ROLE", "REGION", "CLUSTERS"]);
    for one in &accounts {
        let config = one.config.as_ref();
        let said =
            |of: fn(&AwsAccountConfig) -> &String| config.map_or_else(|| "-".to_owned(), |c| of(c).clone());
        table.row([
            one.name.to_string(),
            said(|config| &config.role_arn),
            said(|config| &config.region),
            one.used_by.join(", "),
        ]);
    }
    output::print(&table.render())?;
    for refusal in accounts.iter().filter_map(|one| one.refusal.as_ref()) {
        output::print(&format!("! {refusal}"))?;
    }
    Ok(())
}

fn show(account: &AwsAccountView, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        return output::json(account);
    }
    let mut table = Table::new(["", ""]);
    table.row(["name".to_owned(), account.name.to_string()]);
    table.row(["external id".to_owned(), account.external_id.clone()]);
    if let Some(next) = &account.next_external_id {
        table.row(["next external id".to_owned(), next.clone()]);
    }
    table.row(["trusts".to_owned(), account.principal.clone().unwrap_or_default()]);
    if let Some(config) = &account.config {
        let groups = match config.security_groups.as_slice() {
            [] => "made for each cluster".to_owned(),
            groups => groups.join(", "),
        };
        table.row(["role".to_owned(), config.role_arn.clone()]);
        table.row(["region".to_owned(), config.region.clone()]);
        table.row(["subnets".to_owned(), config.subnets.join(", ")]);
        table.row(["security groups".to_owned(), groups]);
        table.row(["instance profile".to_owned(), config.instance_profile.clone()]);
    }
    table.row(["clusters".to_owned(), account.used_by.join(", ")]);
    output::print(&table.render())?;
    match &account.refusal {
        Some(refusal) => output::print(&format!("! {refusal}")),
        None => Ok(()),
    }
}

fn checked(found: &AwsAccountCheck, global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        output::json(found)?;
    } else {
        for check in &found.checks {
            let mark = match (check.ok, check.blocks) {
                (true, _) => "ok    ",
                (false, true) => "FAILED",
                (false, false) => "note  ",
            };
            output::print(&format!("{mark}  {}: {}", check.name, check.found))?;
            if let Some(remedy) = &check.remedy {
                output::print(&format!("        → {remedy}"))?;
            }
        }
    }
    match found.ok {
        true => Ok(()),
        false => Err(CliError::new(
            Exit::Failure,
            "no node can start there until this is corrected",
        )),
    }
}
