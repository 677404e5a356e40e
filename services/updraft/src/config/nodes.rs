//! Where nodes come from, as control's file says it: this machine, as `up` has it, or EC2.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use updraft_aws::RoleArn;
use updraft_model::{ClusterId, OnStop};
use updraft_provider_ec2::Ec2Config;
use url::{Host, Url};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NodesFile {
    Local(LocalNodes),
    Ec2(Box<Ec2Nodes>),
}

/// Nodes are processes of this machine; the rest is what `up` brings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalNodes {
    pub(crate) storage_socket: PathBuf,
    /// What access to clusters' buckets is derived from.
    pub(crate) storage_key_file: PathBuf,
    pub(crate) broker_binary: PathBuf,
    pub(crate) uv_binary: PathBuf,
    pub(crate) runtimes: BTreeMap<String, ReadyRuntime>,
}

/// A runtime made ready on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyRuntime {
    pub(crate) environment_dir: PathBuf,
    pub(crate) template_database: String,
}

/// Nodes are instances; see `docs/ec2.md`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ec2Nodes {
    /// Where agents find control: `https://agents.updraft.example.com`.
    pub(crate) control_url: Url,
    /// Agents ask control without TLS, on a network where nobody else listens.
    #[serde(default)]
    pub(crate) plain_http: bool,
    /// `host:port` of the metadata server for nodes, where it is another than in `metadata_url`.
    #[serde(default)]
    pub(crate) metadata_address: Option<String>,
    /// Those whose archives nodes fetch, or whose image has them.
    pub(crate) runtimes: BTreeMap<String, TemplateOf>,
    pub(crate) storage: StorageFile,
    /// Where the audit log is copied to; without it, it is not.
    #[serde(default)]
    pub(crate) audit: Option<BucketFile>,
    /// Whether a cluster that names no AWS account of its tenant's has its nodes in the installation's own.
    #[serde(default = "yes")]
    pub(crate) shared_account: bool,
    /// The cluster whose nodes get another agent before all others; where it fails there, nobody else gets it.
    #[serde(default)]
    pub(crate) agents_first_in: Option<ClusterId>,
    /// What becomes of machines of clusters that are stopped, where neither these nor their accounts say so. Default: `end`.
    #[serde(default)]
    pub(crate) on_stop: Option<OnStop>,
    /// What `updraft provider check` takes, too.
    pub(crate) provider: Ec2Config,
}

fn yes() -> bool {
    true
}

/// Made by `updraft runtime prepare`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateOf {
    pub(crate) template_database: String,
}

/// Clusters' buckets, one for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorageFile {
    pub(crate) region: String,
    /// Instead of AWS's own, as nodes reach it.
    #[serde(default)]
    pub(crate) endpoint: Option<Url>,
    /// The cluster's number follows.
    pub(crate) bucket_prefix: String,
    /// `{"access_key": "…", "secret_key": "…"}`; none: Updraft's own credentials.
    #[serde(default)]
    pub(crate) keys_file: Option<PathBuf>,
    pub(crate) node_keys: NodeKeys,
    /// With `shared` keys: there may be several tenants all the same, who may read and change all of each other's.
    #[serde(default)]
    pub(crate) tenants_trust_each_other: bool,
}

/// What nodes open their cluster's bucket with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NodeKeys {
    /// Those of `keys_file`, which open every cluster's: for an installation of one tenant, on a store that has no roles.
    Shared,
    /// A session of this role for each cluster, which opens that cluster's bucket alone.
    Role(RoleArn),
}

/// A bucket that only control uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BucketFile {
    pub(crate) bucket: String,
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) endpoint: Option<Url>,
    #[serde(default)]
    pub(crate) keys_file: Option<PathBuf>,
}

// === impl NodesFile ===

impl NodesFile {
    /// The migrated database of each runtime.
    pub(crate) fn template_of(&self, runtime: &str) -> Option<&str> {
        match self {
            Self::Local(local) => local
                .runtimes
                .get(runtime)
                .map(|ready| ready.template_database.as_str()),
            Self::Ec2(ec2) => ec2
                .runtimes
                .get(runtime)
                .map(|ready| ready.template_database.as_str()),
        }
    }
}

// === impl Ec2Nodes ===

impl Ec2Nodes {
    /// # Errors
    /// The first setting that cannot be right, with what belongs there.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        check_control_url("nodes.ec2.control_url", &self.control_url, self.plain_http)?;
        self.provider.check().context("nodes.ec2.provider")?;
        ensure!(
            self.provider.archives.iter().any(|archive| archive.key.is_none())
                || self.provider.artifacts.is_some(),
            "`nodes.ec2.provider.artifacts` has to name the bucket that archives are in"
        );
        ensure!(
            !self.runtimes.is_empty(),
            "`nodes.ec2.runtimes` has to name at least one runtime"
        );
        self.storage.check()
    }
}

// === impl StorageFile ===

impl StorageFile {
    fn check(&self) -> anyhow::Result<()> {
        let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (3..=40).contains(&self.bucket_prefix.len()) && self.bucket_prefix.chars().all(sign),
            "`nodes.ec2.storage.bucket_prefix` has to be 3 to 40 small letters, digits and hyphens: updraft-prod-cluster-"
        );
        ensure!(
            self.keys_file.is_some() || !matches!(self.node_keys, NodeKeys::Shared),
            "`nodes.ec2.storage.node_keys` is `shared`, which takes `keys_file`: a machine's role is nobody else's"
        );
        ensure!(
            !self.is_at_aws() || !matches!(self.node_keys, NodeKeys::Shared),
            "`nodes.ec2.storage.node_keys` is `shared`, which is not for AWS: every node, and whatever code a tenant runs there, \
             would have keys that open every cluster's bucket. Name a role: {{\"role\": \"arn:aws:iam::123456789012:role/updraft-storage\"}}"
        );
        Ok(())
    }

    /// Whether buckets are at AWS, by whatever of its addresses.
    pub(crate) fn is_at_aws(&self) -> bool {
        let host = self
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.host_str().unwrap_or_default());
        host.is_none_or(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
    }
}

/// What goes over it are tokens and clusters' secrets.
///
/// # Errors
/// When it is neither https nor allowed to be plain.
pub(crate) fn check_control_url(field: &str, url: &Url, plain_http: bool) -> anyhow::Result<()> {
    let on_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if on_loopback || plain_http => Ok(()),
        "http" => anyhow::bail!(
            "`{field}` ({url}) has to be https: over it go tokens and secrets. On a network where nobody else listens, \
             `plain_http` allows it"
        ),
        _ => anyhow::bail!("`{field}` ({url}) has to be an https address"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_in_the_clear_only_where_somebody_said_so() {
        let checked =
            |url: &str, plain| check_control_url("control_url", &url.parse().unwrap(), plain).is_ok();
        assert!(checked("https://agents.example.com", false) && checked("http://127.0.0.1:7702", false));
        assert!(!checked("http://10.77.0.1:7702", false) && checked("http://10.77.0.1:7702", true));
        assert!(!checked("ftp://10.77.0.1/", true));
    }

    #[test]
    fn keys_of_every_bucket_are_not_given_to_nodes_at_aws() {
        let checked = |endpoint: Option<&str>| {
            let file: StorageFile =
                serde_json::from_value(json!({"region": "us-east-1", "endpoint": endpoint,
                "bucket_prefix": "updraft-", "keys_file": "/keys", "node_keys": "shared"}))
                .unwrap();
            file.check()
        };
        for endpoint in [
            None,
            Some("https://s3.eu-central-1.amazonaws.com/"),
            Some("https://s3.cn-north-1.amazonaws.com.cn/"),
        ] {
            let refused = checked(endpoint).unwrap_err().to_string();
            assert!(
                refused.contains("is not for AWS") && refused.contains("{\"role\": "),
                "{refused}"
            );
        }
        checked(Some("http://10.77.0.1:8333/")).unwrap();
    }
}
