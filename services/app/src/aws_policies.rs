//! What a tenant gives the role that Updraft assumes, to paste: its permissions, and the call of the Terraform module that makes both
//! the role and them.
//!
//! Permissions are the module's own file, filled in here as Terraform fills it in there: what is printed cannot be another policy than what is
//! applied (`tests/terraform/check.py` has Terraform fill in what is printed here, and compares). What the tenant has not said yet
//! stands in capitals.

use std::fmt::Write as _;

use serde_json::{Value, json};
use updraft_api::aws_accounts::AwsAccountView;
use updraft_model::AwsAccountConfig;

use crate::App;
use crate::config::UsualNodes;

const PERMISSIONS: &str = include_str!("../../../terraform/modules/tenant-account/permissions.json.tftpl");
/// The module's own default.
const INSTANCE_TYPES: [&str; 4] = ["t3.*", "m7i.*", "c7i.*", "r7i.*"];
/// The module's own default: Amazon, and Debian (<https://wiki.debian.org/Cloud/AmazonEC2Image>).
const IMAGE_OWNERS: [&str; 2] = ["amazon", "136693071363"];
/// What the module calls the profile of an entry of `nodes`, before the entry's name.
const PROFILE: &str = "updraft-node-";
const ENTRY: &str = "airflow";

/// What was said, by the tenant and by the installation.
#[derive(Clone, Copy)]
struct Said<'a> {
    installation: &'a str,
    /// Whom the role trusts.
    principal: &'a str,
    external_id: &'a str,
    /// What the role is to let in beside it.
    next_external_id: Option<&'a str>,
    config: Option<&'a AwsAccountConfig>,
    usual: &'a UsualNodes,
    /// What queues of the clusters in the account have their workers run on.
    queue_types: &'a [String],
}

/// An account as far as it is known.
struct Account<'a> {
    said: Said<'a>,
    partition: String,
    number: String,
    region: String,
}

impl App {
    /// With what is to be pasted in the account, whose clusters' queues name these instance types.
    pub(crate) fn with_policies(&self, view: AwsAccountView, queue_types: &[String]) -> AwsAccountView {
        let Some((accounts, principal)) = self.config().accounts.as_ref().zip(view.principal.as_deref())
        else {
            return view;
        };
        let account = Account::of(Said {
            installation: &accounts.installation,
            principal,
            external_id: &view.external_id,
            next_external_id: view.next_external_id.as_deref(),
            config: view.config.as_ref(),
            usual: &accounts.usual,
            queue_types,
        });
        AwsAccountView {
            permissions_policy: Some(account.permissions()),
            terraform: Some(account.terraform()),
            ..view
        }
    }
}

/// With the part that stands between `%{ if NAME }` and its end, or without it.
fn part(template: &str, name: &str, there: bool) -> String {
    let begin = format!("%{{ if {name} }}");
    let Some((before, rest)) = template.split_once(&begin) else {
        return template.to_owned();
    };
    let (inner, after) = rest.split_once("%{ endif }").unwrap_or((rest, ""));
    match there {
        true => format!("{before}{inner}{after}"),
        false => format!("{before}{after}"),
    }
}

// === impl Account ===

impl<'a> Account<'a> {
    fn of(said: Said<'a>) -> Self {
        let config = said.config;
        let arn = |place| config.and_then(|config| config.role_arn.split(':').nth(place));
        Self {
            said,
            partition: arn(1).unwrap_or("aws").to_owned(),
            number: arn(4).unwrap_or("ACCOUNT").to_owned(),
            region: config.map_or_else(|| "REGION".to_owned(), |config| config.region.clone()),
        }
    }

    /// The permissions of the role, as JSON.
    fn permissions(&self) -> String {
        let template = part(PERMISSIONS, "makes_groups", self.brought_groups().is_empty());
        let template = part(&template, "own_keys", !self.keys().is_empty());
        // As short as it was written: IAM takes 6,144 characters, without counting blanks.
        self.fill(&template).trim().to_owned()
    }

    /// `module "updraft" { … }`
    fn terraform(&self) -> String {
        let (groups, types) = (self.brought_groups(), self.instance_types());
        let mut lines = vec![
            ("source", json!("./terraform/modules/tenant-account")),
            ("installation", json!(self.said.installation)),
            ("updraft_role_arn", json!(self.said.principal)),
            ("external_id", json!(self.said.external_id)),
            ("regions", json!([self.region])),
            ("subnet_arns", json!(self.subnets())),
        ];
        if let Some(next) = self.said.next_external_id {
            lines.push(("other_external_ids", json!([next])));
        }
        lines.push(match groups.is_empty() {
            true => ("vpc_arns", json!([self.arn("ec2", "vpc/VPC")])),
            false => ("security_group_arns", json!(groups)),
        });
        // What is as in the module need not be read.
        let others = [
            ("instance_types", types, types_of_the_module()),
            ("image_parameter_arns", self.own_image_parameters(), Vec::new()),
            ("kms_key_arns", self.keys(), Vec::new()),
        ];
        for (name, value, default) in others {
            if value != default {
                lines.push((name, json!(value)));
            }
        }
        let mut text = "module \"updraft\" {\n".to_owned();
        for (name, value) in lines {
            let _ = writeln!(text, "  {name} = {value}");
        }
        text.push_str(&self.nodes());
        text.push_str("}\n");
        text
    }

    /// Roles of nodes, which are the module's own.
    fn nodes(&self) -> String {
        let mut text =
            "\n  # A role and an instance profile for nodes: what they may read and write.\n".to_owned();
        let told = self.profile();
        let entry = told.and_then(|profile| profile.strip_prefix(PROFILE));
        if let (Some(profile), None) = (told, entry) {
            let _ = write!(
                text,
                "  # Updraft was told of the instance profile {profile}, which is none of this module's: the role that is made here\n                   # may not give it to nodes. Once this is applied, tell Updraft of {PROFILE}{ENTRY} instead.\n"
            );
        }
        let entry = entry.unwrap_or(ENTRY);
        let _ = write!(
            text,
            "  nodes = {{\n    {entry} = {{ writes = [], reads = [\"BUCKET/PREFIX/\"] }}\n  }}\n"
        );
        text
    }

    fn fill(&self, template: &str) -> String {
        let images = [self.partition_arn("ssm:*::parameter/aws/service/*")].into_iter();
        let lists: [(&str, Value); 8] = [
            ("regions", json!([self.region])),
            ("instance_types", json!(self.instance_types())),
            (
                "image_parameters",
                json!(images.chain(self.own_image_parameters()).collect::<Vec<_>>()),
            ),
            ("image_owners", json!(self.image_owners())),
            ("node_roles", json!([self.node_role()])),
            ("places", json!([self.subnets(), self.brought_groups()].concat())),
            ("vpcs", json!([self.arn("ec2", "vpc/VPC")])),
            ("keys", json!(self.keys())),
        ];
        let words = [
            ("partition", self.partition.as_str()),
            ("account", &self.number),
            ("installation", self.said.installation),
        ];
        let filled = lists.iter().fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), &value.to_string())
        });
        words.iter().fold(filled, |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        })
    }

    fn partition_arn(&self, rest: &str) -> String {
        format!("arn:{}:{rest}", self.partition)
    }

    /// Of something in the account and its region.
    fn arn(&self, service: &str, rest: &str) -> String {
        self.partition_arn(&format!("{service}:{}:{}:{rest}", self.region, self.number))
    }

    fn subnets(&self) -> Vec<String> {
        let of = |id: &String| self.arn("ec2", &format!("subnet/{id}"));
        match self.said.config {
            Some(config) => config.subnets.iter().map(of).collect(),
            None => vec![self.arn("ec2", "subnet/SUBNET")],
        }
    }

    fn brought_groups(&self) -> Vec<String> {
        let groups = self.said.config.iter().flat_map(|config| &config.security_groups);
        groups
            .map(|id| self.arn("ec2", &format!("security-group/{id}")))
            .collect()
    }

    /// The module's, and families of what the account's own nodes are.
    fn instance_types(&self) -> Vec<String> {
        let (config, usual) = (self.said.config, self.said.usual);
        let roles = [
            (
                config.and_then(|config| config.scheduler.as_ref()),
                &usual.scheduler,
            ),
            (config.and_then(|config| config.web.as_ref()), &usual.web),
            (config.and_then(|config| config.worker.as_ref()), &usual.worker),
        ];
        let roles =
            roles.map(|(own, usual)| own.map_or(usual.as_str(), |machine| machine.instance_type.as_str()));
        let queues = self.said.queue_types.iter().map(String::as_str);
        let mut types = types_of_the_module();
        for (family, _) in roles
            .into_iter()
            .chain(queues)
            .filter_map(|one| one.split_once('.'))
        {
            let family = format!("{family}.*");
            if !types.contains(&family) {
                types.push(family);
            }
        }
        types
    }

    /// Those of the account itself: AWS's own are allowed in any case.
    fn own_image_parameters(&self) -> Vec<String> {
        let own = self.said.config.and_then(|config| config.image.as_deref());
        let named = own.or(self.said.usual.image.as_deref());
        let named = named.filter(|image| image.starts_with('/') && !image.starts_with("/aws/service/"));
        named
            .map(|name| self.arn("ssm", &format!("parameter{name}")))
            .into_iter()
            .collect()
    }

    /// The account's own, Updraft's, and the module's default.
    fn image_owners(&self) -> Vec<&str> {
        let updraft = self
            .said
            .principal
            .split(':')
            .nth(4)
            .unwrap_or("UPDRAFTS-ACCOUNT");
        [self.number.as_str(), updraft]
            .into_iter()
            .chain(IMAGE_OWNERS)
            .collect()
    }

    /// What disks are encrypted with, where it is not AWS's own key. An alias is no resource that a policy can name: its key is, whose
    /// id the tenant has to look up.
    fn keys(&self) -> Vec<String> {
        let volume = self.said.config.and_then(|config| config.root_volume.as_ref());
        let key = volume.and_then(|volume| volume.kms_key.as_deref());
        let arn = |key: &str| match key {
            alias if alias.starts_with("alias/") || alias.contains(":alias/") => self.arn("kms", "key/KEY"),
            arn if arn.starts_with("arn:") => arn.to_owned(),
            id => self.arn("kms", &format!("key/{id}")),
        };
        key.map(arn).into_iter().collect()
    }

    /// The name of the instance profile, of which a path may be told, too.
    fn profile(&self) -> Option<&str> {
        let profile = self.said.config.map(|config| config.instance_profile.as_str());
        profile.and_then(|profile| profile.rsplit('/').next())
    }

    /// Updraft is told of the instance profile alone. IAM's console and the module give a role and its profile one name, so it is
    /// taken for the role's: whoever shows the permissions says so.
    fn node_role(&self) -> String {
        let name = self.profile().unwrap_or("NODE-ROLE");
        self.partition_arn(&format!("iam::{}:role/{name}", self.number))
    }
}

fn types_of_the_module() -> Vec<String> {
    INSTANCE_TYPES.iter().map(|one| (*one).to_owned()).collect()
}

#[cfg(test)]
#[path = "aws_policies_tests.rs"]
mod tests;
