//! Several accounts: what happens in one is no other's concern.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use updraft_model::{AwsAccountId, ClusterId, NodeAccount};
use updraft_planner::Hearing;
use updraft_provider::ProviderError;
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::{StoreError, Tx, leases, node_accounts};

use super::execute::commit;
use super::watch::Seen;
use super::{ReconcileError, Reconciler};

/// Places for launches under way. A tenant's account that starts a thousand nodes waits for its own turn at AWS, and takes nobody
/// else's place meanwhile.
pub(super) struct Launches {
    installation: Arc<Semaphore>,
    tenants: Arc<Semaphore>,
    of_one: usize,
    each: Mutex<HashMap<AwsAccountId, Arc<Semaphore>>>,
}

/// Given back when dropped.
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

// === impl Launches ===

impl Launches {
    pub(super) fn new(launches: usize) -> Self {
        Self {
            installation: Arc::new(Semaphore::new(launches)),
            tenants: Arc::new(Semaphore::new((launches / 2).max(1))),
            of_one: (launches / 4).max(1),
            each: Mutex::default(),
        }
    }

    /// None: as many as may be are under way there.
    pub(super) fn place(&self, account: NodeAccount) -> Option<Place> {
        let take = |of: &Arc<Semaphore>| Arc::clone(of).try_acquire_owned().ok();
        match account {
            NodeAccount::Installation => Some(Place {
                _all: take(&self.installation)?,
                _own: None,
            }),
            NodeAccount::Tenant(id) => Some(Place {
                _own: Some(take(&self.of(id))?),
                _all: take(&self.tenants)?,
            }),
        }
    }

    fn of(&self, id: AwsAccountId) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds none of its places needs none of them kept.
        each.retain(|_, places| places.available_permits() < self.of_one);
        let places = each.entry(id);
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
    }
}

impl Reconciler {
    /// Where nodes may be.
    pub(super) async fn accounts(&self) -> Result<Vec<NodeAccount>, ReconcileError> {
        let accounts = self.parts.answered(self.parts.provider.accounts()).await;
        accounts.map_err(ReconcileError::Accounts)
    }

    /// Each account is watched by itself, in its own time.
    pub(super) async fn watch_for_ever(self: Arc<Self>, shutdown: CancellationToken) {
        let mut watched: HashMap<NodeAccount, CancellationToken> = HashMap::new();
        let mut watches = JoinSet::new();
        while !shutdown.is_cancelled() {
            match self.accounts().await {
                Ok(accounts) => self.watch_these(&accounts, &mut watched, &mut watches, &shutdown),
                Err(error) => {
                    tracing::warn!(error = ?error, "it is not known where nodes are; watched as before");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(self.parts.settings.watch) => {}
            }
        }
        while watches.join_next().await.is_some() {}
    }

    fn watch_these(
        self: &Arc<Self>,
        accounts: &[NodeAccount],
        watched: &mut HashMap<NodeAccount, CancellationToken>,
        watches: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) {
        let there: HashSet<_> = accounts.iter().collect();
        watched.retain(|account, ended| {
            let stays = there.contains(account);
            if !stays {
                ended.cancel();
                self.inventory.forget(*account);
                self.parts.liveness.hear(*account, Hearing::Well);
            }
            stays
        });
        for account in accounts {
            watched.entry(*account).or_insert_with(|| {
                let ended = shutdown.child_token();
                watches.spawn(Arc::clone(self).watch_account_for_ever(*account, ended.clone()));
                ended
            });
        }
        while watches.try_join_next().is_some() {}
    }

    async fn watch_account_for_ever(self: Arc<Self>, account: NodeAccount, ended: CancellationToken) {
        let mut seen = Seen::default();
        while !ended.is_cancelled() {
            if let Err(error) = self.watch(account, &mut seen).await {
                tracing::warn!(error = ?error, "clusters could not be woken; the sweep will");
                seen = Seen::default();
            }
            tokio::select! {
                () = ended.cancelled() => {}
                () = tokio::time::sleep(self.parts.settings.watch) => {}
            }
        }
    }

    /// Says to a tenant's clusters, once, that its account lets Updraft in no more, or again.
    pub(super) async fn note_refusal(
        &self,
        account: NodeAccount,
        refusal: Option<&ProviderError>,
    ) -> Result<(), ReconcileError> {
        let NodeAccount::Tenant(id) = account else {
            return Ok(());
        };
        let text = refusal.map(ToString::to_string);
        let mut tx = self.parts.store.begin().await?;
        if node_accounts::note_refusal(&mut tx, id, text.as_deref()).await? {
            let account = node_accounts::find(&mut tx, id).await?;
            let name = account
                .map(|account| account.name.to_string())
                .unwrap_or_default();
            for cluster in node_accounts::clusters_in(&mut tx, id).await? {
                tell(&mut tx, cluster, &name, text.as_deref()).await?;
            }
        }
        commit(tx).await
    }
}

async fn tell(tx: &mut Tx, cluster: ClusterId, name: &str, refusal: Option<&str>) -> Result<(), StoreError> {
    let Some(cluster) = leases::load(tx, cluster).await? else {
        return Ok(());
    };
    let (kind, severity, message) = match refusal {
        Some(refusal) => (
            "aws_account_refused",
            EventSeverity::Warning,
            format!(
                "The AWS account `{name}` does not let Updraft in: {refusal}. What runs there goes on; nothing is started, replaced or \
                 ended there until an owner has put that right (`updraft aws-account check {name}`)."
            ),
        ),
        None => (
            "aws_account_answers",
            EventSeverity::Info,
            format!("The AWS account `{name}` lets Updraft in again."),
        ),
    };
    let event = NewEvent {
        tenant: cluster.tenant,
        cluster: Some(cluster.id),
        node: None,
        service: None,
        kind,
        severity,
        message: &message,
    };
    events::append(tx, &event).await
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_accounts_storm_leaves_places_to_others() {
        let launches = Launches::new(16);
        let tenant = |number| NodeAccount::Tenant(AwsAccountId(Uuid::from_u128(number)));
        let storm: Vec<_> = std::iter::from_fn(|| launches.place(tenant(1))).collect();
        assert_eq!(storm.len(), 4);
        let other: Vec<_> = std::iter::from_fn(|| launches.place(tenant(2))).collect();
        assert_eq!(other.len(), 4);
        let own: Vec<_> = std::iter::from_fn(|| launches.place(NodeAccount::Installation)).collect();
        assert_eq!(own.len(), 16);
        drop(storm);
        assert!(launches.place(tenant(1)).is_some());
    }
}
