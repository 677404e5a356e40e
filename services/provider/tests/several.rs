//! Several accounts behind one provider: the same laws, and nothing that one account says counts in another.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::json;
use updraft_model::{AwsAccountId, ClusterId, NodeAccount, NodeId, NodeRole, TenantId};
use updraft_provider::contract::{Subject, check};
use updraft_provider::simulated::{Faults, SimulatedProvider};
use updraft_provider::{
    AccountCheck, AccountFault, AccountRecords, BootSecret, ClientToken, ClusterWanted, Launched,
    NodeProvider, NodeWanted, OpenAccounts, ProviderError, SeveralAccounts, TenantAccount,
};
use uuid::Uuid;

/// In the installation's account, in the one tenant's, in the other's.
const SHARED: ClusterId = ClusterId(1);
const OURS: ClusterId = ClusterId(2);
const THEIRS: ClusterId = ClusterId(3);

/// Three simulated accounts, and the record of who is where.
#[derive(Default)]
struct World {
    accounts: Mutex<HashMap<AwsAccountId, (i64, Arc<SimulatedProvider>)>>,
    opened: AtomicU32,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

struct Installation {
    world: Arc<World>,
    own: Arc<SimulatedProvider>,
    provider: SeveralAccounts,
    nodes: AtomicU32,
}

fn account(number: u128) -> AwsAccountId {
    AwsAccountId(Uuid::from_u128(number))
}

impl World {
    fn simulation(&self, id: AwsAccountId) -> Arc<SimulatedProvider> {
        Arc::clone(&self.accounts.lock().unwrap()[&id].1)
    }
}

#[async_trait]
impl AccountRecords for World {
    async fn accounts(&self) -> Result<Vec<AwsAccountId>, ProviderError> {
        Ok(self.accounts.lock().unwrap().keys().copied().collect())
    }

    async fn find(&self, id: AwsAccountId) -> Result<Option<TenantAccount>, ProviderError> {
        let config = json!({"role_arn": "", "region": "", "subnets": [], "instance_profile": ""});
        let version = self
            .accounts
            .lock()
            .unwrap()
            .get(&id)
            .map(|(version, _)| *version);
        Ok(version.map(|version| TenantAccount {
            id,
            external_id: String::new(),
            config: serde_json::from_value(config).unwrap(),
            version,
        }))
    }

    async fn of_clusters(&self, _: &[ClusterId]) -> Result<HashMap<ClusterId, NodeAccount>, ProviderError> {
        let places = [
            (SHARED, NodeAccount::Installation),
            (OURS, NodeAccount::Tenant(account(7))),
            (THEIRS, NodeAccount::Tenant(account(8))),
        ];
        Ok(places.into())
    }
}

#[async_trait]
impl OpenAccounts for World {
    fn judge(&self, _: &TenantAccount) -> Result<(), AccountFault> {
        Ok(())
    }

    fn open(&self, account: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(self.simulation(account.id))
    }

    async fn check(&self, _: &TenantAccount) -> Vec<AccountCheck> {
        Vec::new()
    }
}

impl Installation {
    fn new() -> Self {
        let world = Arc::new(World::default());
        for id in [7, 8] {
            let simulation = SimulatedProvider::perfect().with_networks();
            let mut accounts = world.accounts.lock().unwrap();
            accounts.insert(account(id), (1, Arc::new(simulation)));
        }
        let own = Arc::new(SimulatedProvider::perfect().with_networks());
        let provider = SeveralAccounts::new(
            Arc::clone(&own) as _,
            Arc::clone(&world) as _,
            Arc::clone(&world) as _,
        );
        Self {
            world,
            own,
            provider,
            nodes: AtomicU32::new(1),
        }
    }

    /// No two accounts of AWS have a security group of the same id; simulations count theirs.
    async fn name_networks_apart(&self) {
        for (account, before) in [(account(7), 1), (account(8), 2)] {
            let simulation = self.world.simulation(account);
            for cluster in (0..before).map(|number| ClusterId(900 + number)) {
                let wanted = ClusterWanted {
                    cluster,
                    tenant: TenantId(Uuid::nil()),
                    control_url: String::new(),
                    worker_types: BTreeSet::new(),
                };
                simulation.prepare_cluster(&wanted).await.unwrap();
                simulation.forget_cluster(cluster).await.unwrap();
            }
        }
    }

    async fn launch(&self, by: &dyn NodeProvider, cluster: ClusterId) -> Launched {
        let node = self.fresh_node();
        let wanted = NodeWanted::plain(cluster, node, NodeRole::Web, 1);
        let request = by.prepare(&wanted).await.unwrap();
        let boot = BootSecret(SecretString::from("{}"));
        by.launch(&request, &ClientToken::of(node), &boot).await.unwrap()
    }
}

#[async_trait]
impl Subject for Installation {
    fn provider(&self) -> &dyn NodeProvider {
        &self.provider
    }

    fn fresh_node(&self) -> NodeId {
        let number = self.nodes.fetch_add(1, Ordering::Relaxed);
        NodeId(Uuid::from_u128(number.into()))
    }

    async fn pass_time(&self) {
        self.own.tick();
    }
}

#[tokio::test]
async fn several_accounts_obey_the_laws_of_one() {
    for (one, other) in [(OURS, THEIRS), (SHARED, OURS)] {
        let here = Installation::new();
        here.name_networks_apart().await;
        check(&here, one, other).await.unwrap();
    }
}

#[tokio::test]
async fn a_clusters_nodes_are_in_its_account_and_are_found_there() {
    let here = Installation::new();
    let launched = here.launch(&here.provider, OURS).await;
    assert_eq!(launched.id.account(), NodeAccount::Tenant(account(7)));
    assert_eq!(
        (
            here.own.live().len(),
            here.world.simulation(account(7)).live().len()
        ),
        (0, 1)
    );
    let listed = here
        .provider
        .list_account(NodeAccount::Tenant(account(7)))
        .await
        .unwrap();
    assert_eq!(listed[0].id, launched.id);
    here.provider.terminate(&launched.id).await.unwrap();
    assert!(here.world.simulation(account(7)).live().is_empty());
}

#[tokio::test]
async fn what_a_tenant_tags_as_another_accounts_node_is_nobodys() {
    let here = Installation::new();
    let ours = here.world.simulation(account(7));
    for victim in [THEIRS, SHARED] {
        here.launch(&*ours, victim).await;
        assert!(here.provider.list(Some(victim)).await.unwrap().is_empty());
    }
    assert!(here.provider.list(None).await.unwrap().is_empty());
    here.launch(&*ours, ClusterId(404)).await;
    let unknown = here.provider.list(None).await.unwrap();
    assert_eq!(unknown[0].id.account(), NodeAccount::Tenant(account(7)));
}

#[tokio::test]
async fn of_a_tenants_volumes_those_of_its_own_clusters_are_listed_and_deleted() {
    let here = Installation::new();
    let (ours, account) = (here.world.simulation(account(7)), NodeAccount::Tenant(account(7)));
    for cluster in [OURS, THEIRS, SHARED, ClusterId(404)] {
        let launched = here.launch(&*ours, cluster).await;
        ours.keep_volume(&launched.id);
        ours.lose(&launched.id);
    }
    let left = here.provider.left_volumes(account).await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0].cluster, left[0].id.account()), (OURS, account));
    here.provider.delete_volume(&left[0].id).await.unwrap();
    assert_eq!(here.provider.left_volumes(account).await.unwrap(), []);
}

#[tokio::test]
async fn an_account_that_does_not_answer_is_told_apart_and_holds_up_no_other() {
    let here = Installation::new();
    here.launch(&here.provider, THEIRS).await;
    here.world.simulation(account(7)).set_faults(Faults {
        throttled: 100,
        ..Faults::default()
    });
    let ours = here.provider.list_account(NodeAccount::Tenant(account(7))).await;
    assert_eq!(ours.unwrap_err(), ProviderError::Throttled);
    let theirs = here.provider.list_account(NodeAccount::Tenant(account(8))).await;
    assert_eq!(theirs.unwrap().len(), 1);
    assert_eq!(here.provider.list(Some(THEIRS)).await.unwrap().len(), 1);
    assert!(
        here.provider.list(None).await.is_err(),
        "a part passes for the whole"
    );
}

#[tokio::test]
async fn an_account_is_opened_once_and_again_when_its_record_changed() {
    let here = Installation::new();
    here.provider.list(Some(OURS)).await.unwrap();
    here.provider.list(Some(OURS)).await.unwrap();
    assert_eq!(here.world.opened.load(Ordering::Relaxed), 1);
    here.world
        .accounts
        .lock()
        .unwrap()
        .get_mut(&account(7))
        .unwrap()
        .0 = 2;
    here.provider.list(Some(OURS)).await.unwrap();
    assert_eq!(here.world.opened.load(Ordering::Relaxed), 2);
}
