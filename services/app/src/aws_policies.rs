//! What a tenant gives the role that Updraft assumes, to paste: its permissions, and the call of the Terraform module that makes both
//! the role and them.
//!
//! Permissions are the module's own file, filled in here as Terraform fills it in there: what is printed cannot be another policy than what is
//! applied. What the tenant has not said yet stands in capitals.

use std::fmt::Write as _;

use serde_json::{Value, json};
use updraft_api::aws_accounts::AwsAccountView;
use updraft_aws::RoleArn;
use updraft_model::AwsAccountConfig;

use crate::App;

const PERMISSIONS: &str = include_str!("../../../terraform/modules/tenant-account/permissions.json.tftpl");
/// The module's own default.
const INSTANCE_TYPES: [&str; 4] = ["t3.*", "m7i.*", "c7i.*", "r7i.*"];

/// An account as far as it is known.
struct Account<'a> {
    installation: &'a str,
    partition: String,
    number: String,
    region: String,
    config: Option<&'a AwsAccountConfig>,
}

impl App {
    /// With what is to be pasted in the account.
    pub(crate) fn with_policies(&self, view: AwsAccountView) -> AwsAccountView {
        let Some((accounts, principal)) = self.config().accounts.as_ref().zip(view.principal.as_deref())
        else {
            return view;
        };
        let (installation, config) = (accounts.installation.as_str(), view.config.as_ref());
        AwsAccountView {
            permissions_policy: Some(permissions(installation, config)),
            terraform: Some(terraform(installation, principal, &view.external_id, config)),
            ..view
        }
    }
}

/// The permissions of the role, as JSON.
fn permissions(installation: &str, config: Option<&AwsAccountConfig>) -> String {
    let account = Account::of(installation, config);
    let makes_groups = account.brought_groups().is_empty();
    let filled = account.fill(&with_groups(PERMISSIONS, makes_groups));
    // As short as it was written: IAM takes 6,144 characters, without counting blanks.
    filled.trim().to_owned()
}

/// `module "updraft" { … }`
fn terraform(
    installation: &str,
    principal: &str,
    external_id: &str,
    config: Option<&AwsAccountConfig>,
) -> String {
    let account = Account::of(installation, config);
    let groups = account.brought_groups();
    let mut lines = vec![
        ("source", json!("./terraform/modules/tenant-account")),
        ("installation", json!(installation)),
        ("updraft_role_arn", json!(principal)),
        ("external_id", json!(external_id)),
        ("regions", json!([account.region])),
        ("subnet_arns", json!(account.subnets())),
    ];
    lines.push(match groups.is_empty() {
        true => ("vpc_arns", json!([account.arn("vpc", "VPC")])),
        false => ("security_group_arns", json!(groups)),
    });
    let mut text = "module \"updraft\" {\n".to_owned();
    for (name, value) in lines {
        let _ = writeln!(text, "  {name} = {value}");
    }
    text.push_str("\n  # A role and an instance profile for nodes: what they may read and write.\n");
    text.push_str("  nodes = {\n    airflow = { writes = [], reads = [\"BUCKET/PREFIX/\"] }\n  }\n}\n");
    text
}

/// With the part that is there only where Updraft makes groups, or without it.
fn with_groups(template: &str, makes_groups: bool) -> String {
    let (begin, end) = ("%{ if makes_groups }", "%{ endif }");
    let Some((before, rest)) = template.split_once(begin) else {
        return template.to_owned();
    };
    let (inner, after) = rest.split_once(end).unwrap_or((rest, ""));
    match makes_groups {
        true => format!("{before}{inner}{after}"),
        false => format!("{before}{after}"),
    }
}

// === impl Account ===

impl<'a> Account<'a> {
    fn of(installation: &'a str, config: Option<&'a AwsAccountConfig>) -> Self {
        let arn = config.and_then(|config| config.role_arn.parse::<RoleArn>().ok());
        let partition = config.and_then(|config| config.role_arn.split(':').nth(1));
        Self {
            installation,
            partition: partition.unwrap_or("aws").to_owned(),
            number: arn.map_or_else(|| "ACCOUNT".to_owned(), |arn| arn.account().to_string()),
            region: config.map_or_else(|| "REGION".to_owned(), |config| config.region.clone()),
            config,
        }
    }

    fn fill(&self, template: &str) -> String {
        let subnets = self.subnets().into_iter().chain(self.brought_groups());
        let places = subnets.chain([
            format!("arn:{}:ec2:*::image/*", self.partition),
            format!("arn:{}:ec2:*:{}:image/*", self.partition, self.number),
        ]);
        let lists: [(&str, Value); 6] = [
            ("regions", json!([self.region])),
            ("instance_types", json!(self.instance_types())),
            ("image_parameters", json!(self.image_parameters())),
            ("node_roles", json!([self.node_role()])),
            ("places", json!(places.collect::<Vec<_>>())),
            ("vpcs", json!([self.arn("vpc", "VPC")])),
        ];
        let words = [
            ("partition", self.partition.as_str()),
            ("account", &self.number),
            ("installation", self.installation),
        ];
        let filled = lists.iter().fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), &value.to_string())
        });
        words.iter().fold(filled, |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        })
    }

    fn arn(&self, kind: &str, id: &str) -> String {
        format!(
            "arn:{}:ec2:{}:{}:{kind}/{id}",
            self.partition, self.region, self.number
        )
    }

    fn subnets(&self) -> Vec<String> {
        match self.config {
            Some(config) => config.subnets.iter().map(|id| self.arn("subnet", id)).collect(),
            None => vec![self.arn("subnet", "SUBNET")],
        }
    }

    fn brought_groups(&self) -> Vec<String> {
        let groups = self.config.iter().flat_map(|config| &config.security_groups);
        groups.map(|id| self.arn("security-group", id)).collect()
    }

    /// The module's, and families of what the account's own nodes are.
    fn instance_types(&self) -> Vec<String> {
        let machines = self.config.iter();
        let machines = machines.flat_map(|config| [&config.scheduler, &config.web, &config.worker]);
        let own = machines
            .flatten()
            .filter_map(|machine| machine.instance_type.split_once('.'));
        let mut types: Vec<_> = INSTANCE_TYPES.iter().map(|one| (*one).to_owned()).collect();
        for (family, _) in own {
            let family = format!("{family}.*");
            if !types.contains(&family) {
                types.push(family);
            }
        }
        types
    }

    fn image_parameters(&self) -> Vec<String> {
        let named = self.config.and_then(|config| config.image.as_deref());
        let named = named.filter(|image| image.starts_with('/'));
        let named = named.map(|name| {
            let (partition, region, number) = (&self.partition, &self.region, &self.number);
            format!("arn:{partition}:ssm:{region}:{number}:parameter{name}")
        });
        let public = format!("arn:{}:ssm:*::parameter/aws/service/*", self.partition);
        [public].into_iter().chain(named).collect()
    }

    /// The instance profile's, which as a rule has its name.
    fn node_role(&self) -> String {
        let profile = self.config.map(|config| config.instance_profile.as_str());
        let name = profile.and_then(|profile| profile.rsplit('/').next());
        format!(
            "arn:{}:iam::{}:role/{}",
            self.partition,
            self.number,
            name.unwrap_or("NODE-ROLE")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = include_str!("../../../terraform/modules/tenant-account/main.tf");
    const VARIABLES: &str = include_str!("../../../terraform/modules/tenant-account/variables.tf");

    fn config(groups: &[&str]) -> AwsAccountConfig {
        serde_json::from_value(json!({
            "role_arn": "arn:aws:iam::210987654321:role/updraft-control",
            "region": "eu-central-1",
            "subnets": ["subnet-0a1b2c3d"],
            "security_groups": groups,
            "instance_profile": "updraft-node-airflow",
            "worker": {"instance_type": "g5.xlarge"},
            "image": "/acme/image",
        }))
        .unwrap()
    }

    fn statements(policy: &str) -> Vec<Value> {
        let policy: Value = serde_json::from_str(policy).unwrap();
        policy["Statement"].as_array().unwrap().clone()
    }

    #[test]
    fn nothing_is_left_open_whatever_is_known() {
        for config in [None, Some(&config(&[])), Some(&config(&["sg-0a1b2c3d"]))] {
            let policy = permissions("prod", config);
            assert!(!policy.contains("${") && !policy.contains("%{"), "{policy}");
            assert_eq!(policy.contains("ACCOUNT"), config.is_none());
            let makes = policy.contains("ec2:CreateSecurityGroup");
            assert_eq!(
                makes,
                config.is_none_or(|config| config.security_groups.is_empty())
            );
            assert!(statements(&policy).len() >= 10);
        }
    }

    #[test]
    fn what_is_everybodys_is_only_looked_at() {
        for statement in statements(&permissions("prod", Some(&config(&[])))) {
            if statement["Resource"] == "*" {
                let actions = statement["Action"].as_array().unwrap();
                assert!(
                    actions
                        .iter()
                        .all(|action| action.as_str().unwrap().starts_with("ec2:Describe"))
                );
            }
        }
        let policy = permissions("prod", Some(&config(&[])));
        for told in [
            "arn:aws:ec2:eu-central-1:210987654321:subnet/subnet-0a1b2c3d",
            "arn:aws:iam::210987654321:role/updraft-node-airflow",
            "arn:aws:ssm:eu-central-1:210987654321:parameter/acme/image",
            r#""aws:ResourceTag/updraft:installation": "prod""#,
            "g5.*",
        ] {
            assert!(policy.contains(told), "{told}: {policy}");
        }
        let packed: usize = policy.chars().filter(|sign| !sign.is_whitespace()).count();
        assert!(packed < 6144, "IAM takes no longer one: {packed}");
    }

    #[test]
    fn the_module_fills_in_the_same_places() {
        let places: Vec<_> = PERMISSIONS
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .collect();
        for (name, _) in places {
            let given = MAIN
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{name} ")));
            assert!(given, "`{name}` is not given by the module");
        }
        let types = json!(INSTANCE_TYPES).to_string().replace(',', ", ");
        assert!(VARIABLES.contains(&format!("default     = {types}")), "{types}");
    }

    #[test]
    fn the_module_is_called_with_all_that_it_asks_for() {
        for config in [None, Some(&config(&[])), Some(&config(&["sg-0a1b2c3d"]))] {
            let call = terraform(
                "prod",
                "arn:aws:iam::123456789012:role/updraft",
                "updraft-0123456789abcdef",
                config,
            );
            for variable in VARIABLES.split("variable \"").skip(1) {
                let (name, rest) = variable.split_once('"').unwrap();
                let asked = !rest.contains("default ");
                assert!(!asked || call.contains(&format!("  {name} = ")), "{name}: {call}");
            }
            for line in call
                .lines()
                .filter_map(|line| line.strip_prefix("  ")?.split_once(" = "))
            {
                let known =
                    line.0 == "source" || VARIABLES.contains(&format!("variable \"{}\"", line.0.trim()));
                assert!(known || line.0.starts_with("  "), "{line:?}");
            }
        }
    }
}
