//! Nodes in several accounts: what one account does, or says, is no other's concern.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::watch;
use updraft_control::node_accounts::KeptAccounts;
use updraft_model::{
    AwsAccountId, ClusterId, NodeAccount, NodeId, NodeRole, OperationKind, OperationState, Phase, Power,
    TenantId,
};
use updraft_provider::simulated::{Faults, SimulatedProvider};
use updraft_provider::{
    AccountCheck, AccountFault, AccountRecords, BootSecret, ClientToken, ClusterWanted, NodeProvider,
    NodeWanted, OpenAccounts, ProviderError, SeveralAccounts, TenantAccount,
};
use uuid::Uuid;

use crate::stage::{Running, Stage};

/// A tenant's account, whose role can be taken back.
#[derive(Clone)]
struct Account {
    id: AwsAccountId,
    simulation: Arc<SimulatedProvider>,
    is_shut: Arc<AtomicBool>,
    /// Whoever asks it waits until it answers again.
    hangs: watch::Sender<bool>,
    /// How often it was asked.
    asked: Arc<AtomicUsize>,
}

/// As it is on record, and in use whatever clusters there are.
struct InUse(KeptAccounts, Account);

impl Account {
    fn of(simulation: Arc<SimulatedProvider>) -> Self {
        Self {
            id: AwsAccountId(Uuid::now_v7()),
            simulation,
            is_shut: Arc::default(),
            hangs: watch::Sender::new(false),
            asked: Arc::default(),
        }
    }

    /// Whoever asks next is asked for the role anew.
    async fn shut(&self, stage: &Stage, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
        stage
            .execute("update aws_accounts set version = version + 1")
            .await;
    }

    /// Its owner makes an instance and tags it as they like.
    async fn forge(&self, cluster: ClusterId, node: NodeId) {
        let wanted = NodeWanted::plain(cluster, node, NodeRole::Web, 1);
        let request = self.simulation.prepare(&wanted).await.unwrap();
        let boot = BootSecret(SecretString::from("{}"));
        self.simulation
            .launch(&request, &ClientToken::of(node), &boot)
            .await
            .unwrap();
    }

    /// Over the installation's own and this one.
    fn beside(&self, installation: Arc<SimulatedProvider>, stage: &Stage) -> Arc<dyn NodeProvider> {
        let records = InUse(
            KeptAccounts {
                store: stage.store().clone(),
            },
            self.clone(),
        );
        Arc::new(SeveralAccounts::new(
            installation,
            Arc::new(self.clone()),
            Arc::new(records),
        ))
    }
}

impl Stage {
    /// Keeps the account on record as the tenant's.
    async fn keep(&self, account: &Account) {
        let id = account.id;
        self.execute(&format!(
            "insert into aws_accounts (id, tenant_id, name, external_id, config)
             select '{id}', id, 'production', 'updraft-{id}',
                 '{{\"role_arn\": \"\", \"region\": \"\", \"subnets\": [], \"instance_profile\": \"\"}}' from tenants"
        ))
        .await;
    }

    /// The cluster is in an account of its tenant's, and runs.
    async fn running_in_account() -> (Self, Account, Running) {
        let stage = Self::new(Faults::default()).await;
        let account = Account::of(Arc::clone(&stage.provider));
        stage.keep(&account).await;
        stage
            .execute(&format!("update clusters set aws_account_id = '{}'", account.id))
            .await;
        stage.ask(OperationKind::Start, Power::Running).await;
        let installation = Arc::new(SimulatedProvider::perfect().with_networks());
        let running = stage.run_over(account.beside(installation, &stage));
        stage.reaches(&Phase::Running).await;
        stage.operation_ends(OperationState::Succeeded).await;
        (stage, account, running)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_a_tenants_account_starts_stops_and_goes_there() {
    let (stage, account, running) = Stage::running_in_account().await;
    let prefix = format!("{}/", account.id);
    let named: bool = stage
        .value(&format!(
            "select bool_and(starts_with(provider_id, '{prefix}')) from nodes"
        ))
        .await;
    assert!(named && account.simulation.live().len() == 3);
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage.is_deleted().await;
    assert!(account.simulation.live().is_empty() && account.simulation.networks().is_empty());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_back_is_told_and_its_nodes_are_unknown_and_not_gone() {
    let (stage, account, running) = Stage::running_in_account().await;
    account.shut(&stage, true).await;
    stage
        .until("the event", async || {
            stage.events("aws_account_refused").await == 1
        })
        .await;
    let told: String = stage
        .value("select message from events where kind = 'aws_account_refused'")
        .await;
    assert!(
        told.contains("`production`") && told.contains("taken back") && told.contains("aws-account check"),
        "{told}"
    );
    stage.wake().await;
    stage
        .until("a look", async || stage.next_look_s().await > 0)
        .await;
    assert_eq!(
        (stage.phase().await, stage.events("node_lost").await),
        (Phase::Running, 0)
    );
    assert_eq!(account.simulation.machines().len(), 3, "something was replaced");

    // What is asked for meanwhile comes about once the role is given again.
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    account.shut(&stage, false).await;
    stage.reaches(&Phase::Stopped).await;
    assert_eq!(stage.events("aws_account_answers").await, 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_shut_holds_up_no_other() {
    let stage = Stage::new(Faults::default()).await;
    let account = Account::of(Arc::new(SimulatedProvider::perfect()));
    stage.keep(&account).await;
    account.shut(&stage, true).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run_over(account.beside(Arc::clone(&stage.provider), &stage));
    stage.reaches(&Phase::Running).await;
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    assert!(stage.provider.live().is_empty());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_hangs_leaves_two_thirds_of_the_places_to_others() {
    const PLACES: usize = 3;
    let stage = Stage::new(Faults::default()).await;
    let account = Account::of(Arc::new(SimulatedProvider::perfect()));
    stage.keep(&account).await;
    account.hangs.send_replace(true);
    // Due before the other one, and more of them than there are places.
    stage
        .execute(&format!(
            "insert into clusters (tenant_id, name, spec, power, aws_account_id, wake_at)
             select tenant_id, 'slow-' || number, spec, 'stopped', '{}', now() - interval '1 hour'
             from clusters, generate_series(1, 10) number",
            account.id
        ))
        .await;
    let id = stage.cluster.0;
    let running = stage.run_with_places(account.beside(Arc::clone(&stage.provider), &stage), PLACES);
    stage
        .until("looks at those that hang", async || {
            account.asked.load(Ordering::SeqCst) > 0
        })
        .await;
    for (wanted, nodes) in [("running", 3), ("stopped", 0)] {
        stage
            .execute(&format!(
                "update clusters set power = '{wanted}', generation = generation + 1, wake_at = now() where id = {id}"
            ))
            .await;
        stage
            .until("the other one's phase", async || {
                let phase: String = stage
                    .value(&format!("select phase ->> 'state' from clusters where id = {id}"))
                    .await;
                phase == wanted
            })
            .await;
        assert_eq!(stage.provider.live().len(), nodes);
    }
    let held: i64 = stage
        .value(&format!(
            "select count(*) from clusters where id <> {id} and lease_until > now()"
        ))
        .await;
    assert_eq!(held, 1, "it has more than its share, or none of it");
    account.hangs.send_replace(false);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_deleted_cluster_in_a_tenants_account_goes_and_what_is_tagged_as_anothers_stays() {
    let (stage, account, running) = Stage::running_in_account().await;
    stage.ask(OperationKind::Delete, Power::Deleted).await;
    stage.is_deleted().await;
    // Of clusters that are in no account of theirs: who tags that there may mean what they like.
    let forged = |cluster| ClusterWanted {
        cluster,
        tenant: TenantId(Uuid::nil()),
        control_url: String::new(),
        worker_types: BTreeSet::new(),
    };
    account
        .simulation
        .prepare_cluster(&forged(ClusterId(404)))
        .await
        .unwrap();
    let id = stage.cluster.0;
    stage
        .execute(&format!(
            "insert into clusters (tenant_id, name, spec, power, deleted_at)
             select tenant_id, 'elsewhere', spec, 'deleted', now() from clusters where id = {id}"
        ))
        .await;
    let elsewhere: i64 = stage
        .value("select id from clusters where name = 'elsewhere'")
        .await;
    account
        .simulation
        .prepare_cluster(&forged(ClusterId(elsewhere)))
        .await
        .unwrap();
    stage.late_network().await;
    stage
        .until("its network's end", async || {
            account.simulation.networks().len() == 2
        })
        .await;
    assert!(!account.simulation.lists_network_of(stage.cluster));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tags_hold_end_and_replace_nothing_of_anybody_elses() {
    let stage = Stage::running(Faults::default()).await;
    let account = Account::of(Arc::new(SimulatedProvider::perfect()));
    stage.keep(&account).await;
    let web: Uuid = stage.value("select id from nodes where role = 'web'").await;
    let before: String = stage
        .value("select string_agg(provider_id || address, ' ') from nodes")
        .await;
    account.forge(stage.cluster, NodeId(web)).await;
    account.forge(stage.cluster, NodeId(Uuid::now_v7())).await;
    account.forge(ClusterId(i64::MAX), NodeId(Uuid::now_v7())).await;
    let running = stage.run_over(account.beside(Arc::clone(&stage.provider), &stage));
    stage
        .until("the forger's own hold", async || stage.hold().await.is_some())
        .await;
    let strays = stage.hold().await.unwrap().strays;
    assert_eq!(strays.len(), 1, "{strays:?}");
    assert_eq!(strays[0].account, NodeAccount::Tenant(account.id));
    let after: String = stage
        .value("select string_agg(provider_id || address, ' ') from nodes")
        .await;
    assert_eq!(after, before);
    // Ids of clusters are not used up by what a tag says.
    assert!(stage.next_cluster().await < stage.cluster.0 + 5_000);

    // The other's cluster does as it is asked, and nothing of the forger's is touched for it.
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    assert!(stage.provider.live().is_empty());
    assert_eq!(account.simulation.live().len(), 3);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_node_in_a_tenants_account_holds_that_account() {
    let (stage, account, running) = Stage::running_in_account().await;
    account.forge(ClusterId(404), NodeId(Uuid::now_v7())).await;
    stage
        .until("the hold", async || stage.hold().await.is_some())
        .await;
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage
        .until("a pause", async || stage.next_look_s().await > 5)
        .await;
    assert_eq!(account.simulation.live().len(), 4);
    let hold = stage.hold().await.unwrap();
    stage.confirm(&hold).await;
    stage.reaches(&Phase::Stopped).await;
    running.end().await;
}

#[async_trait]
impl OpenAccounts for Account {
    fn judge(&self, _: &TenantAccount) -> Result<(), AccountFault> {
        Ok(())
    }

    fn open(&self, _: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        match self.is_shut.load(Ordering::SeqCst) {
            true => Err(ProviderError::Refused("the role was taken back".to_owned())),
            false => Ok(Arc::clone(&self.simulation) as _),
        }
    }

    async fn check(&self, _: &TenantAccount) -> Vec<AccountCheck> {
        Vec::new()
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Account").field(&self.id).finish()
    }
}

#[async_trait]
impl AccountRecords for InUse {
    async fn accounts(&self) -> Result<Vec<AwsAccountId>, ProviderError> {
        Ok(vec![self.1.id])
    }

    async fn find(&self, account: AwsAccountId) -> Result<Option<TenantAccount>, ProviderError> {
        self.1.asked.fetch_add(1, Ordering::SeqCst);
        let mut hangs = self.1.hangs.subscribe();
        hangs.wait_for(|hangs| !hangs).await.unwrap();
        self.0.find(account).await
    }

    async fn of_clusters(
        &self,
        clusters: &[ClusterId],
    ) -> Result<HashMap<ClusterId, NodeAccount>, ProviderError> {
        self.0.of_clusters(clusters).await
    }
}
