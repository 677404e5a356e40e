//! One provider over several accounts: the installation's own, and tenants'. Which one a cluster is in is on record at
//! control, and nothing that an account says of itself counts against that.
//!
//! Whoever has an account tags in it what they like. So of a tenant's account only nodes of clusters are listed that are in it by
//! the record, or that no record knows; what else is tagged as a node there is nobody's. Ids of its nodes begin with the account's own
//! ([`ProviderId::account`]), so that none of them leads anywhere else.
//!
//! Each account has a provider of its own, with its own credentials and its own pace, made anew when its record changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{Value, json};
use updraft_model::{AwsAccountId, ClusterId, NodeAccount};

use crate::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, LeftVolume, ListedNode, NetworkId,
    NodeProvider, NodeStatus, NodeWanted, OpenAccounts, ProviderError, ProviderId, TenantAccount,
};

const ACCOUNT: &str = "account";
const REQUEST: &str = "request";

/// What is on record of accounts. A record that cannot be read is [`ProviderError::Unclear`].
#[async_trait]
pub trait AccountRecords: Send + Sync {
    /// Tenants' accounts in which clusters are or were.
    async fn accounts(&self) -> Result<Vec<AwsAccountId>, ProviderError>;

    async fn find(&self, account: AwsAccountId) -> Result<Option<TenantAccount>, ProviderError>;

    /// Where these clusters are; those that no record knows are left out.
    async fn of_clusters(
        &self,
        clusters: &[ClusterId],
    ) -> Result<HashMap<ClusterId, NodeAccount>, ProviderError>;
}

/// Nodes of one installation in as many accounts as are on record.
pub struct SeveralAccounts {
    installation: Arc<dyn NodeProvider>,
    opens: Arc<dyn OpenAccounts>,
    records: Arc<dyn AccountRecords>,
    open: Mutex<HashMap<AwsAccountId, Open>>,
    /// Nodes that were told of as nobody's.
    told: Mutex<HashSet<ProviderId>>,
}

struct Open {
    version: i64,
    provider: Arc<dyn NodeProvider>,
}

// === impl SeveralAccounts ===

impl SeveralAccounts {
    #[must_use]
    pub fn new(
        installation: Arc<dyn NodeProvider>,
        opens: Arc<dyn OpenAccounts>,
        records: Arc<dyn AccountRecords>,
    ) -> Self {
        Self {
            installation,
            opens,
            records,
            open: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// By the record as it is now.
    async fn provider(&self, account: NodeAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        let NodeAccount::Tenant(id) = account else {
            return Ok(Arc::clone(&self.installation));
        };
        let Some(record) = self.records.find(id).await? else {
            self.opened().remove(&id);
            return Err(ProviderError::Refused("its AWS account was deleted".to_owned()));
        };
        if let Some(open) = self
            .opened()
            .get(&id)
            .filter(|open| open.version == record.version)
        {
            return Ok(Arc::clone(&open.provider));
        }
        let provider = self.opens.open(&record)?;
        let open = Open {
            version: record.version,
            provider: Arc::clone(&provider),
        };
        self.opened().insert(id, open);
        Ok(provider)
    }

    async fn of_cluster(&self, cluster: ClusterId) -> Result<NodeAccount, ProviderError> {
        let found = self.records.of_clusters(&[cluster]).await?;
        Ok(found.get(&cluster).copied().unwrap_or(NodeAccount::Installation))
    }

    /// Nodes as everybody else names them, without those that are nobody's.
    async fn believed(
        &self,
        account: NodeAccount,
        listed: Vec<ListedNode>,
    ) -> Result<Vec<ListedNode>, ProviderError> {
        if account == NodeAccount::Installation || listed.is_empty() {
            return Ok(listed);
        }
        let clusters: Vec<_> = listed.iter().map(|node| node.cluster).collect();
        let places = self.records.of_clusters(&clusters).await?;
        let (ours, nobodys): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .map(|node| ListedNode {
                id: node.id.within(account),
                ..node
            })
            .partition(|node| places.get(&node.cluster).is_none_or(|place| *place == account));
        self.tell(&nobodys);
        Ok(ours)
    }

    fn tell(&self, nobodys: &[ListedNode]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for node in nobodys {
            if told.insert(node.id.clone()) {
                tracing::warn!(
                    provider.id = %node.id, cluster.id = node.cluster.0,
                    "an instance is tagged as a node of a cluster that is in another account; it is left alone"
                );
            }
        }
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<AwsAccountId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl NodeProvider for SeveralAccounts {
    fn name(&self) -> &'static str {
        self.installation.name()
    }

    fn listing_lag(&self) -> Duration {
        self.installation.listing_lag()
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        let account = self.of_cluster(wanted.cluster).await?;
        let request = self.provider(account).await?.prepare(wanted).await?;
        Ok(match account {
            NodeAccount::Installation => request,
            NodeAccount::Tenant(id) => LaunchRequest(json!({ ACCOUNT: id, REQUEST: request })),
        })
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        let (account, request) = read(request)?;
        let provider = self.provider(account).await?;
        let launched = provider.launch(&request, token, boot).await?;
        Ok(named(launched, account))
    }

    async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError> {
        let provider = self.provider(id.account()).await?;
        let launched = provider.start(&id.inside(), boot).await?;
        Ok(named(launched, id.account()))
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.provider(id.account()).await?.stop(&id.inside()).await
    }

    fn can_stand_still(&self, request: &LaunchRequest) -> bool {
        read(request).is_ok_and(|(_, inner)| self.installation.can_stand_still(&inner))
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.provider(id.account()).await?.terminate(&id.inside()).await
    }

    /// Of all: only if every account answers. See [`NodeProvider::list_account`].
    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        if let Some(cluster) = cluster {
            let account = self.of_cluster(cluster).await?;
            let listed = self.provider(account).await?.list(Some(cluster)).await?;
            return self.believed(account, listed).await;
        }
        let accounts = self.accounts().await?;
        let all = join_all(accounts.into_iter().map(|account| self.list_account(account))).await;
        let all: Vec<_> = all.into_iter().collect::<Result<_, _>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn accounts(&self) -> Result<Vec<NodeAccount>, ProviderError> {
        let tenants = self.records.accounts().await?;
        self.opened().retain(|id, _| tenants.contains(id));
        let tenants = tenants.into_iter().map(NodeAccount::Tenant);
        Ok(std::iter::once(NodeAccount::Installation)
            .chain(tenants)
            .collect())
    }

    async fn list_account(&self, account: NodeAccount) -> Result<Vec<ListedNode>, ProviderError> {
        let listed = self.provider(account).await?.list(None).await?;
        self.believed(account, listed).await
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        self.provider(id.account()).await?.describe(&id.inside()).await
    }

    async fn why_ended(&self, id: &ProviderId) -> Result<Option<ProviderError>, ProviderError> {
        self.provider(id.account()).await?.why_ended(&id.inside()).await
    }

    /// Of a tenant's account only those of clusters that are in it by the record.
    async fn left_volumes(&self, account: NodeAccount) -> Result<Vec<LeftVolume>, ProviderError> {
        let left = self.provider(account).await?.left_volumes(account).await?;
        if account == NodeAccount::Installation || left.is_empty() {
            return Ok(left);
        }
        let clusters: Vec<_> = left.iter().map(|volume| volume.cluster).collect();
        let places = self.records.of_clusters(&clusters).await?;
        let here = left
            .into_iter()
            .filter(|volume| places.get(&volume.cluster) == Some(&account));
        Ok(here
            .map(|volume| LeftVolume {
                id: volume.id.within(account),
                ..volume
            })
            .collect())
    }

    async fn delete_volume(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let provider = self.provider(id.account()).await?;
        provider.delete_volume(&id.inside()).await
    }

    fn prepares_clusters(&self) -> bool {
        self.installation.prepares_clusters()
    }

    async fn prepare_cluster(&self, wanted: &ClusterWanted) -> Result<Option<NetworkId>, ProviderError> {
        let account = self.of_cluster(wanted.cluster).await?;
        self.provider(account).await?.prepare_cluster(wanted).await
    }

    async fn forget_cluster(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        let account = self.of_cluster(cluster).await?;
        self.provider(account).await?.forget_cluster(cluster).await
    }

    /// Of the accounts that answer, each its own: what another one has is seen when it answers again.
    async fn prepared_clusters(&self) -> Result<Vec<ClusterId>, ProviderError> {
        let accounts = self.accounts().await?;
        let prepared = accounts.iter().map(|account| async {
            let provider = self.provider(*account).await?;
            provider.prepared_clusters().await
        });
        let answers = join_all(prepared).await;
        let mut all = Vec::new();
        for (account, answer) in accounts.into_iter().zip(answers) {
            let clusters = answer.unwrap_or_default();
            let places = self.records.of_clusters(&clusters).await?;
            let is_here = |cluster: &ClusterId| match places.get(cluster) {
                Some(place) => *place == account,
                None => account == NodeAccount::Installation,
            };
            all.extend(clusters.into_iter().filter(is_here));
        }
        Ok(all)
    }
}

/// Where it goes, and what that account's provider made of it.
fn read(request: &LaunchRequest) -> Result<(NodeAccount, LaunchRequest), ProviderError> {
    let Some(account) = request.0.get(ACCOUNT) else {
        return Ok((NodeAccount::Installation, request.clone()));
    };
    let unreadable = |_| ProviderError::Refused("the node's account on record cannot be read".to_owned());
    let account = serde_json::from_value(account.clone()).map_err(unreadable)?;
    let inner = request.0.get(REQUEST).cloned().unwrap_or(Value::Null);
    Ok((NodeAccount::Tenant(account), LaunchRequest(inner)))
}

fn named(launched: Launched, account: NodeAccount) -> Launched {
    Launched {
        id: launched.id.within(account),
        ..launched
    }
}
