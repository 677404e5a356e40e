//! A cluster's secrets, database, storage and network: recorded before they are made, and until they are gone.

use updraft_model::TenantId;
use updraft_planner::Resource;
use updraft_provider::{ClusterWanted, ProviderError};
use uuid::Uuid;

use super::super::bugs::Bug;
use super::super::driver::{Driver, Ended, Progress, step};
use super::super::records::{DATABASE, NETWORK, Records, SECRETS, STORAGE};
use super::super::{CLUSTER, laws};
use super::Done;

// === impl Driver ===

impl Driver {
    /// They are in control's own database: all is one transaction.
    pub(super) async fn ensure_secrets(&self) -> Done {
        self.commit(|records| {
            begin(records, SECRETS);
            records.safe.made = true;
            records.resources[SECRETS] = Resource::Ready { since: records.now };
        })
        .await?;
        Ok(Progress::Made)
    }

    pub(super) async fn remove_secrets(&self) -> Done {
        if self.is_held() {
            laws::may_lose_its_secrets(&self.shared);
        }
        self.commit(|records| {
            records.safe.made = false;
            records.resources[SECRETS] = Resource::Absent;
        })
        .await?;
        Ok(Progress::Made)
    }

    /// The role takes the password that control has by then, every time.
    pub(super) async fn ensure_database(&self) -> Done {
        let password = self
            .commit(|records| {
                begin(records, DATABASE);
                records.safe.current
            })
            .await?;
        step().await;
        // Under a lock of the database's server, which tells who slept through its lease that there is no password for it.
        let answer = if self.is_held() {
            let state = &mut *self.shared.state.borrow_mut();
            let (has_role, answer) = state.parts.ensure_database();
            if has_role {
                state.records.safe.database = password;
            }
            answer
        } else {
            Err("no password".to_owned())
        };
        step().await;
        self.made(DATABASE, answer).await
    }

    pub(super) async fn ensure_storage(&self) -> Done {
        self.begin(STORAGE).await?;
        step().await;
        let is_held = self.is_held();
        let answer = self.shared.state.borrow_mut().parts.ensure_bucket(is_held);
        step().await;
        self.made(STORAGE, answer).await
    }

    pub(super) async fn drop_database(&self) -> Done {
        self.begin(DATABASE).await?;
        laws::may_lose_its_parts(&self.shared);
        step().await;
        let answer = self.shared.state.borrow_mut().parts.drop_database();
        step().await;
        let counts_as_gone = self.shared.bug == Some(Bug::TakesDatabaseForDropped);
        self.removed(DATABASE, answer, counts_as_gone).await
    }

    pub(super) async fn remove_storage(&self) -> Done {
        if self.shared.bug == Some(Bug::RemovesSecretsFirst) {
            self.remove_secrets().await?;
        }
        self.begin(STORAGE).await?;
        laws::may_lose_its_parts(&self.shared);
        step().await;
        let answer = self.shared.state.borrow_mut().parts.remove_bucket();
        step().await;
        let counts_as_gone = self.shared.bug == Some(Bug::TakesBucketForRemoved);
        self.removed(STORAGE, answer, counts_as_gone).await
    }

    pub(super) async fn ensure_network(&self) -> Done {
        self.begin(NETWORK).await?;
        let wanted = ClusterWanted {
            cluster: CLUSTER,
            tenant: TenantId(Uuid::nil()),
            control_url: String::new(),
            worker_types: std::collections::BTreeSet::new(),
        };
        let answer = self.shared.api().prepare_cluster(&wanted).await;
        self.shared.state.borrow_mut().late_network = !self.is_held();
        step().await;
        self.commit(|records| match answer {
            Ok(network) => {
                records.network = network;
                records.resources[NETWORK] = Resource::Ready { since: records.now };
            }
            Err(error) => refuse(&mut records.resources[NETWORK], &error),
        })
        .await?;
        Ok(Progress::Made)
    }

    pub(super) async fn remove_network(&self) -> Done {
        self.begin(NETWORK).await?;
        laws::may_lose_its_parts(&self.shared);
        let answer = self.shared.api().forget_cluster(CLUSTER).await;
        let is_left = !self.shared.provider.networks().is_empty();
        self.shared.state.borrow_mut().late_network |= answer.is_ok() && is_left;
        step().await;
        let counts_as_gone = self.shared.bug == Some(Bug::TakesNetworkForRemoved);
        self.commit(|records| match answer {
            Err(error) if !counts_as_gone => refuse(&mut records.resources[NETWORK], &error),
            Ok(()) | Err(_) => {
                (records.network, records.resources[NETWORK]) = (None, Resource::Absent);
            }
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn begin(&self, which: usize) -> Result<(), Ended> {
        self.commit(|records| begin(records, which)).await
    }

    async fn made(&self, which: usize, answer: Result<(), String>) -> Done {
        let counts_as_made = self.shared.bug == Some(Bug::TakesPartsForMade);
        self.commit(|records| match answer {
            Err(why) if !counts_as_made => fail(&mut records.resources[which], &why, false),
            Ok(()) | Err(_) => records.resources[which] = Resource::Ready { since: records.now },
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn removed(&self, which: usize, answer: Result<(), String>, counts_as_gone: bool) -> Done {
        self.commit(|records| match answer {
            Err(why) if !counts_as_gone => fail(&mut records.resources[which], &why, false),
            Ok(()) | Err(_) => records.resources[which] = Resource::Absent,
        })
        .await?;
        Ok(Progress::Made)
    }
}

fn begin(records: &mut Records, which: usize) {
    let attempts = match &records.resources[which] {
        Resource::Intended { attempts, .. } => attempts + 1,
        Resource::Absent | Resource::Ready { .. } => 1,
    };
    records.resources[which] = Resource::Intended {
        attempts,
        failure: None,
        refused: false,
        attempted_at: records.now,
    };
}

fn refuse(resource: &mut Resource, error: &ProviderError) {
    fail(
        resource,
        &error.to_string(),
        matches!(error, ProviderError::Refused(_)),
    );
}

fn fail(resource: &mut Resource, why: &str, is_refused: bool) {
    if let Resource::Intended { failure, refused, .. } = resource {
        (*failure, *refused) = (Some(why.to_owned()), is_refused);
    }
}
