//! What the installation says of its nodes on EC2, checked before anything is asked of AWS.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use updraft_aws::{ExternalId, RoleArn};
use updraft_model::NodeRole;
use url::Url;

use crate::user_data;

/// The installation's configuration of this provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ec2Config {
    /// Names this installation in the tags of its instances. Two installations in one account need two names.
    pub installation: String,
    /// `eu-central-1`
    pub region: String,
    /// Instead of AWS's own addresses.
    #[serde(default)]
    pub endpoint: Option<Url>,
    /// The account that nodes are in; none: the one that Updraft's own credentials are of.
    #[serde(default)]
    pub account: Option<TenantAccount>,
    /// Each node is in one of these, chosen by its id: so those of a cluster are spread over them.
    pub subnets: Vec<String>,
    /// None: one is made for each cluster.
    #[serde(default)]
    pub security_groups: Vec<String>,
    pub image: Image,
    /// Name or ARN of what gives nodes their role.
    pub instance_profile: String,
    #[serde(default)]
    pub key_pair: Option<String>,
    #[serde(default)]
    pub root_volume: RootVolume,
    pub scheduler: Machine,
    pub web: Machine,
    pub worker: Machine,
    /// Where archives are that have a `key`, and where logs of boots go. Without it those stay on the node.
    #[serde(default)]
    pub artifacts: Option<Artifacts>,
    /// What nodes fetch before their agent starts: one of them is in the directory `agent`.
    pub archives: Vec<Archive>,
}

/// Updraft's own bucket. Nodes get addresses that open one object of it for an hour or two, and no keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifacts {
    pub bucket: String,
    pub region: String,
    /// Instead of AWS's own, as nodes reach it.
    #[serde(default)]
    pub endpoint: Option<Url>,
    /// `{"access_key": "…", "secret_key": "…"}`; none: Updraft's own credentials.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
}

/// Where buckets are that nodes have to reach: clusters' own are the installation's, not this provider's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorePlace {
    pub region: String,
    /// Instead of AWS's own, as nodes reach it.
    pub endpoint: Option<Url>,
}

/// A role in a tenant's account that trusts Updraft's, and the external id that Updraft generated for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantAccount {
    pub role: RoleArn,
    pub external_id: ExternalId,
}

/// `ami-…`, or the name of an SSM parameter that holds such an id: `/updraft/image`. EC2 looks it up at each launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Image {
    Id(String),
    Parameter(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// `m7i.large`
    pub instance_type: String,
    #[serde(default)]
    pub market: Market,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    #[default]
    OnDemand,
    /// Cheaper, and taken back by AWS with two minutes' notice.
    Spot,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RootVolume {
    pub gib: u32,
    /// The image's own root device.
    pub device: String,
    /// None: the account's default key. The volume is encrypted in any case.
    pub kms_key: Option<String>,
}

/// A `.tar.gz` that nodes fetch, verified by its digest: from [`Artifacts`] by its key, or from where it can be had without
/// credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    pub sha256: String,
    /// Below `/opt/updraft`.
    pub directory: String,
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub url: Option<Url>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{field}` {why}")]
pub struct ConfigError {
    pub field: String,
    pub why: &'static str,
}

type Checked = Result<(), ConfigError>;

// === impl Ec2Config ===

impl Ec2Config {
    /// # Errors
    /// The first field that cannot be right, with what belongs there.
    pub fn check(&self) -> Checked {
        require(
            is_word(&self.installation, 32, "-"),
            "installation",
            "has to be a name of small letters, digits and hyphens, at most 32",
        )?;
        require(
            self.region.contains('-') && is_word(&self.region, 32, "-"),
            "region",
            "has to be a region, for example eu-central-1",
        )?;
        self.check_network()?;
        self.check_machines()?;
        require(
            is_plain(&self.instance_profile),
            "instance_profile",
            "has to be the name or ARN of an instance profile",
        )?;
        require(
            self.key_pair.as_deref().is_none_or(is_plain),
            "key_pair",
            "has to be the name of a key pair, or left out",
        )?;
        self.root_volume.check()?;
        if let Some(artifacts) = &self.artifacts {
            artifacts.check()?;
        }
        self.check_archives()
    }

    pub(crate) fn machine(&self, role: NodeRole) -> &Machine {
        match role {
            NodeRole::Scheduler => &self.scheduler,
            NodeRole::Web => &self.web,
            NodeRole::Worker => &self.worker,
        }
    }

    fn check_network(&self) -> Checked {
        require(
            !self.subnets.is_empty(),
            "subnets",
            "has to name at least one subnet",
        )?;
        require(
            self.security_groups.len() <= 5,
            "security_groups",
            "has to name at most five security groups, or none: then each cluster gets one of its own",
        )?;
        for (number, id) in self.subnets.iter().enumerate() {
            let field = format!("subnets[{number}]");
            require(
                is_id(id, "subnet-"),
                &field,
                "has to be a subnet's id, for example subnet-0a1b2c3d",
            )?;
        }
        for (number, id) in self.security_groups.iter().enumerate() {
            let field = format!("security_groups[{number}]");
            require(
                is_id(id, "sg-"),
                &field,
                "has to be a security group's id, for example sg-0a1b2c3d",
            )?;
        }
        Ok(())
    }

    fn check_machines(&self) -> Checked {
        for (role, machine) in [
            ("scheduler", &self.scheduler),
            ("web", &self.web),
            ("worker", &self.worker),
        ] {
            let is_type = machine.instance_type.contains('.') && is_word(&machine.instance_type, 32, ".-");
            require(
                is_type,
                &format!("{role}.instance_type"),
                "has to be an instance type, for example m7i.large",
            )?;
            require(
                role == "worker" || machine.market == Market::OnDemand,
                &format!("{role}.market"),
                "has to be on_demand: only workers may be taken away at any time",
            )?;
        }
        Ok(())
    }

    fn check_archives(&self) -> Checked {
        require(
            self.archives.iter().any(|archive| archive.directory == "agent"),
            "archives",
            "has to name the archive of the directory `agent`",
        )?;
        for (number, archive) in self.archives.iter().enumerate() {
            let field = format!("archives[{number}]");
            archive.check(&field)?;
            require(
                archive.key.is_none() || self.artifacts.is_some(),
                &format!("{field}.key"),
                "takes `artifacts`, the bucket that it is in",
            )?;
        }
        require(
            user_data::fits(&self.archives),
            "archives",
            "are too many: with them, user data would be larger than the 16 KiB that EC2 takes",
        )
    }
}

// === impl Archive ===

impl Archive {
    fn check(&self, field: &str) -> Checked {
        let is_digest = self.sha256.len() == 64
            && self
                .sha256
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        require(
            is_digest,
            &format!("{field}.sha256"),
            "has to be the archive's SHA-256, 64 small hexadecimal digits",
        )?;
        let parts = || self.directory.split('/');
        require(
            parts().all(|part| is_word(part, 64, "._-") && !part.starts_with('.')),
            &format!("{field}.directory"),
            "has to be a directory below /opt/updraft, for example runtimes/airflow-3.3.2",
        )?;
        require(
            self.key.is_some() != self.url.is_some(),
            field,
            "has to have either a `key` in the bucket `artifacts` or a `url`",
        )?;
        require(
            self.key.as_deref().is_none_or(is_key),
            &format!("{field}.key"),
            "has to be an object's key, for example archives/agent.tar.gz",
        )?;
        require(
            self.url.as_ref().is_none_or(is_web),
            &format!("{field}.url"),
            "has to be an http or https address without quotes or spaces",
        )
    }
}

// === impl Artifacts ===

impl Artifacts {
    fn check(&self) -> Checked {
        require(
            self.bucket.len() >= 3 && is_word(&self.bucket, 63, "-."),
            "artifacts.bucket",
            "has to be the name of a bucket",
        )?;
        require(
            self.region.contains('-') && is_word(&self.region, 32, "-"),
            "artifacts.region",
            "has to be a region, for example eu-central-1",
        )?;
        require(
            self.endpoint.as_ref().is_none_or(is_web),
            "artifacts.endpoint",
            "has to be an http or https address, or left out",
        )
    }
}

// === impl RootVolume ===

impl RootVolume {
    fn check(&self) -> Checked {
        require(
            (8..=16_384).contains(&self.gib),
            "root_volume.gib",
            "has to be from 8 to 16384",
        )?;
        require(
            self.device.starts_with("/dev/") && is_plain(&self.device),
            "root_volume.device",
            "has to be a device, for example /dev/xvda",
        )?;
        require(
            self.kms_key.as_deref().is_none_or(is_plain),
            "root_volume.kms_key",
            "has to be the id or ARN of a KMS key, or left out",
        )
    }
}

impl Default for RootVolume {
    fn default() -> Self {
        Self {
            gib: 30,
            device: "/dev/xvda".to_owned(),
            kms_key: None,
        }
    }
}

// === impl Image ===

impl FromStr for Image {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_path = text.starts_with('/') && is_plain(text);
        match text {
            id if is_id(id, "ami-") => Ok(Self::Id(id.to_owned())),
            name if is_path => Ok(Self::Parameter(name.to_owned())),
            _ => Err(
                "`image` has to be an image's id (ami-0a1b2c3d) or the name of an SSM parameter (/updraft/image)",
            ),
        }
    }
}

impl TryFrom<String> for Image {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Image> for String {
    fn from(image: Image) -> Self {
        match image {
            Image::Id(text) | Image::Parameter(text) => text,
        }
    }
}

/// As `RunInstances` takes it
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-systems-manager-parameter-to-find-AMI.html>).
impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Parameter(name) => write!(f, "resolve:ssm:{name}"),
        }
    }
}

fn require(holds: bool, field: &str, why: &'static str) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(ConfigError {
            field: field.to_owned(),
            why,
        }),
    }
}

fn is_word(text: &str, longest: usize, more: &str) -> bool {
    let in_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c);
    (1..=longest).contains(&text.len()) && text.chars().all(in_word)
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") && user_data::is_harmless(url.as_str())
}

/// Of signs that stand for themselves in an address.
fn is_key(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let parts = || text.split('/');
    text.len() <= 512 && text.chars().all(plain) && parts().all(|part| !part.is_empty() && part != "..")
}

fn is_id(text: &str, prefix: &str) -> bool {
    let number = text.strip_prefix(prefix).unwrap_or_default();
    (8..=32).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/:".contains(c);
    (1..=1024).contains(&text.len()) && text.chars().all(plain)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> serde_json::Value {
        serde_json::json!({
            "installation": "prod",
            "region": "eu-central-1",
            "subnets": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
            "security_groups": ["sg-0a1b2c3d"],
            "image": "ami-0a1b2c3d",
            "instance_profile": "updraft-node",
            "scheduler": {"instance_type": "m7i.large"},
            "web": {"instance_type": "m7i.large"},
            "worker": {"instance_type": "m7i.xlarge", "market": "spot"},
            "archives": [{"sha256": "0".repeat(64), "directory": "agent", "url": "https://b.s3.amazonaws.com/agent.tar.gz"}],
        })
    }

    fn checked(config: serde_json::Value) -> Result<(), String> {
        let config: Ec2Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_is_taken() {
        assert_eq!(checked(example()), Ok(()));
    }

    #[test]
    fn an_error_names_its_field() {
        for (field, value, named) in [
            ("installation", serde_json::json!("Prod EU"), "`installation`"),
            ("region", serde_json::json!("europe"), "`region`"),
            ("subnets", serde_json::json!([]), "`subnets`"),
            (
                "subnets",
                serde_json::json!(["subnet-0a1b2c3d", "eni-1"]),
                "`subnets[1]`",
            ),
            (
                "security_groups",
                serde_json::json!(["default"]),
                "`security_groups[0]`",
            ),
            ("image", serde_json::json!("debian"), "`image`"),
            ("instance_profile", serde_json::json!(""), "`instance_profile`"),
            ("key_pair", serde_json::json!("a b"), "`key_pair`"),
            ("root_volume", serde_json::json!({"gib": 4}), "`root_volume.gib`"),
            (
                "web",
                serde_json::json!({"instance_type": "large"}),
                "`web.instance_type`",
            ),
            (
                "scheduler",
                serde_json::json!({"instance_type": "m7i.large", "market": "spot"}),
                "`scheduler.market`",
            ),
            ("archives", serde_json::json!([]), "`archives`"),
            ("subnet", serde_json::json!("x"), "unknown field `subnet`"),
        ] {
            let mut config = example();
            config[field] = value;
            let error = checked(config).unwrap_err();
            assert!(error.contains(named), "{field}: {error}");
        }
    }

    #[test]
    fn archives_are_checked_since_a_shell_reads_them() {
        for (field, value) in [
            ("sha256", "abc"),
            ("directory", "../etc"),
            ("directory", "agent/.ssh"),
            ("url", "file:///etc/passwd"),
            ("url", "https://b/it's"),
            ("key", "../boot/x"),
            ("key", "archives/agent.tar.gz"),
        ] {
            let mut config = example();
            let mut other = config["archives"][0].clone();
            if field == "key" {
                other["url"] = serde_json::Value::Null;
            }
            other[field] = value.into();
            config["archives"].as_array_mut().unwrap().push(other);
            let error = checked(config).unwrap_err();
            assert!(error.contains(&format!("`archives[1].{field}`")), "{error}");
        }
    }
}
