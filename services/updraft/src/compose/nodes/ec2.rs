//! Nodes that are EC2 instances: their provider, where their files are, their buckets.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use secrecy::SecretString;
use updraft_app::{ResourceAccounts, SharedByAll, Tenancy, UsualNodes};
use updraft_control::agents::{self, AgentRelease};
use updraft_control::assignments::Places;
use updraft_control::audit_export::AuditBucket;
use updraft_control::storage_sessions::StorageSessions;
use updraft_model::{ClusterId, NodeId};
use updraft_provider::OpenAccounts;
use updraft_provider_ec2::{AgentArchive, BootLogs, Ec2Accounts, Ec2Config, Ec2Provider, StorePlace};
use updraft_store::metadata::MetadataServer;
use url::Url;

use super::Nodes;
use super::account_check::WithSessions;
use crate::compose::buckets::{ControlBucket, InstallationStorage};
use crate::config::{ControlFile, Ec2Nodes, NodeKeys, StorageFile, TemplateOf};

/// Of infra/boot, which makes them: an instance is one node.
const NODE: &str = "/var/lib/updraft/node";
const SHARED: &str = "/var/lib/updraft/shared";
const ENVIRONMENTS: &str = "/var/lib/updraft/environments";
const ARCHIVES: &str = "/opt/updraft";

/// # Errors
/// When a setting cannot be right.
pub(super) fn open(file: &ControlFile, ec2: &Ec2Nodes) -> anyhow::Result<Nodes> {
    ec2.check()?;
    let provider = Ec2Provider::open(ec2.provider.clone()).context("`nodes.ec2.provider` cannot be right")?;
    let provider = provider.storing_in(store_place(ec2));
    let storage = InstallationStorage::open(&ec2.storage).context("`nodes.ec2.storage` cannot be used")?;
    let storage = Arc::new(storage);
    let audit = ec2.audit.as_ref().map(ControlBucket::open).transpose();
    let audit = audit.context("`nodes.ec2.audit` cannot be used")?;
    if audit.is_none() {
        tracing::info!("the audit log is copied nowhere: `nodes.ec2.audit` names a bucket for that");
    }
    let sessions = storage
        .has_sessions()
        .then(|| Arc::clone(&storage) as Arc<dyn StorageSessions>);
    let accounts = accounts(file, ec2, sessions.clone())?;
    Ok(Nodes {
        provider: Arc::new(provider),
        places: Arc::new(InstancePlaces {
            runtimes: ec2.runtimes.clone(),
            package_index: file.package_index.as_ref().map(Url::to_string),
        }),
        dag_location: Some(storage.location()),
        sessions,
        storage,
        audit: audit.map(|bucket| Arc::new(bucket) as Arc<dyn AuditBucket>),
        metadata: MetadataServer::new(file.metadata_url.clone()).reached_at(ec2.metadata_address.clone()),
        control_url: ec2.control_url.as_str().trim_end_matches('/').to_owned(),
        tenancy: tenancy(&ec2.storage),
        accounts,
        are_instances: true,
        boot_logs: Some(boot_logs(ec2)?),
        on_stop: ec2.on_stop,
        agent: agent(ec2)?,
        agents_first_in: ec2.agents_first_in,
        supervised: None,
    })
}

/// Keys that lie on nodes are every plugin's and every task's: who has those of all buckets is every tenant.
fn tenancy(storage: &StorageFile) -> Tenancy {
    match storage.node_keys {
        NodeKeys::Role(_) => Tenancy::Several,
        NodeKeys::Shared if storage.tenants_trust_each_other => {
            tracing::warn!(
                "`node_keys` is `shared`: whoever writes DAGs or plugins for one cluster can read and change every tenant's, \
                 as `tenants_trust_each_other` says they may"
            );
            Tenancy::Several
        }
        NodeKeys::Shared => {
            tracing::warn!(
                "`node_keys` is `shared`: nodes' keys open every cluster's bucket, so this installation keeps one tenant"
            );
            Tenancy::One(SharedByAll::BucketKeys)
        }
    }
}

/// Whoever has an account chooses its nodes' addresses: nothing of ours connects to one, so without tunnels there are none.
fn accounts(
    file: &ControlFile,
    ec2: &Ec2Nodes,
    sessions: Option<Arc<dyn StorageSessions>>,
) -> anyhow::Result<Option<ResourceAccounts>> {
    if file.aws.is_none() || file.tunnel_address.is_none() {
        return Ok(None);
    }
    let opens =
        Ec2Accounts::new(ec2.provider.clone()).context("Updraft's own credentials cannot be looked for")?;
    let opens: Arc<dyn OpenAccounts> = Arc::new(opens.storing_in(store_place(ec2)));
    let opens = match sessions {
        Some(sessions) => Arc::new(WithSessions {
            accounts: opens,
            sessions,
        }),
        None => opens,
    };
    Ok(Some(ResourceAccounts {
        opens,
        installation: ec2.provider.installation.clone(),
        shared: ec2.shared_account,
        usual: usual(&ec2.provider),
    }))
}

fn usual(provider: &Ec2Config) -> UsualNodes {
    UsualNodes {
        image: Some(provider.image.clone().into()),
        scheduler: provider.scheduler.instance_type.clone(),
        web: provider.web.instance_type.clone(),
        worker: provider.worker.instance_type.clone(),
    }
}

fn store_place(ec2: &Ec2Nodes) -> StorePlace {
    StorePlace {
        region: ec2.storage.region.clone(),
        endpoint: ec2.storage.endpoint.clone(),
    }
}

fn boot_logs(ec2: &Ec2Nodes) -> anyhow::Result<Arc<dyn updraft_app::BootLogs>> {
    let logs = BootLogs::open(&ec2.provider).context("`nodes.ec2.provider.artifacts` cannot be used")?;
    Ok(Arc::new(InBucket(logs)))
}

struct InBucket(BootLogs);

#[async_trait]
impl updraft_app::BootLogs for InBucket {
    async fn end_of(&self, node: NodeId, most: usize) -> Result<Option<Vec<u8>>, String> {
        let end = self.0.end_of(node, most).await;
        end.map_err(|error| error.to_string())
    }
}

fn agent(ec2: &Ec2Nodes) -> anyhow::Result<Option<AgentRelease>> {
    let archive =
        AgentArchive::open(&ec2.provider).context("`nodes.ec2.provider.artifacts` cannot be used")?;
    Ok(archive.map(|archive| AgentRelease {
        sha256: archive.sha256().to_owned(),
        archive: Arc::new(InArtifacts(archive)),
    }))
}

struct InArtifacts(AgentArchive);

#[async_trait]
impl agents::AgentArchive for InArtifacts {
    async fn address(&self) -> Result<SecretString, String> {
        let address = self.0.address().await.map_err(|error| error.to_string())?;
        let address = address.ok_or("the archive `agent` has neither key nor url")?;
        Ok(address.into())
    }
}

/// The same on every instance.
struct InstancePlaces {
    runtimes: BTreeMap<String, TemplateOf>,
    package_index: Option<String>,
}

impl Places for InstancePlaces {
    fn node_dir(&self, _node: NodeId) -> String {
        NODE.to_owned()
    }

    fn shared_dir(&self, _cluster: ClusterId) -> String {
        SHARED.to_owned()
    }

    fn environment_dir(&self, runtime: &str) -> Option<String> {
        let known = self.runtimes.contains_key(runtime);
        known.then(|| format!("{ARCHIVES}/runtimes/{runtime}"))
    }

    fn environments_dir(&self, _cluster: ClusterId) -> String {
        ENVIRONMENTS.to_owned()
    }

    fn uv_binary(&self) -> String {
        format!("{ARCHIVES}/tools/bin/uv")
    }

    fn package_index(&self) -> Option<String> {
        self.package_index.clone()
    }

    /// What it left ended with its instances.
    fn forget(&self, _cluster: ClusterId) {}

    fn broker_binary(&self) -> String {
        format!("{ARCHIVES}/tools/bin/valkey-server")
    }

    fn template_database(&self, runtime: &str) -> String {
        let found = self.runtimes.get(runtime);
        found
            .map(|runtime| runtime.template_database.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tenants_share_no_keys_unless_they_trust_each_other() {
        let of = |node_keys: serde_json::Value, trust: bool| {
            let file = json!({"region": "us-east-1", "bucket_prefix": "updraft-", "node_keys": node_keys,
                "tenants_trust_each_other": trust});
            tenancy(&serde_json::from_value(file).unwrap())
        };
        let role = json!({"role": "arn:aws:iam::123456789012:role/updraft-storage"});
        assert_eq!(of(role, false), Tenancy::Several);
        assert_eq!(of(json!("shared"), false), Tenancy::One(SharedByAll::BucketKeys));
        assert_eq!(of(json!("shared"), true), Tenancy::Several);
    }
}
