//! What a driver does for each action: record before effect, in the product's order.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use updraft_model::{NodeId, TenantId};
use updraft_planner::{
    Action, EnvironmentChange, EnvironmentStage, KeyStage, KeyTurn, LaunchFailure, LaunchFailureKind, Loss,
    Outcome, QueueSize, Resource,
};
use updraft_provider::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, NodeProvider as _, NodeWanted,
    ProviderError, ProviderId,
};
use uuid::Uuid;

use super::bugs::Bug;
use super::driver::{Driver, Ended, Progress, View, step};
use super::records::{Records, Row, RowState};
use super::{CLUSTER, laws};

/// Its place among the resources.
const NETWORK: usize = 3;

type Done = Result<Progress, Ended>;

// === impl Driver ===

impl Driver {
    pub(super) async fn execute_one(&self, view: &View, action: Action) -> Done {
        match action {
            Action::EnsureSecrets => self.make(0).await,
            Action::EnsureDatabase => self.make_database().await,
            Action::EnsureStorage => self.make(2).await,
            Action::RemoveSecrets => self.remove(0).await,
            Action::DropDatabase => self.remove(1).await,
            Action::RemoveStorage => self.remove(2).await,
            Action::EnsureNetwork => self.prepare_network().await,
            Action::RemoveNetwork => self.remove_network().await,
            Action::IntendNode {
                role,
                ordinal,
                queue,
                instance_type,
            } => {
                let wanted = NodeWanted {
                    cluster: CLUSTER,
                    node: self.shared.fresh_node(),
                    role,
                    ordinal,
                    queue,
                    instance_type,
                    tenant: None,
                    generation: None,
                    fence: None,
                    network: self.shared.state.borrow().records.network.clone(),
                };
                self.intend(&wanted).await
            }
            Action::SizeQueue { size } => self.size_queue(size).await,
            Action::LaunchNode { node } => self.launch(node).await,
            Action::StartNode { node } => self.start(node).await,
            Action::StopNode { node, loss } => self.stop(node, loss).await,
            Action::SwitchOffNode { node } => self.switch_off(node).await,
            Action::KeepNode { node } => self.keep(node).await,
            Action::WakeNode { node } => self.wake(node).await,
            Action::TerminateNode { node, loss } => self.terminate(view, node, loss).await,
            Action::ForgetNode { node, loss } => self.forget(node, loss).await,
            Action::TerminateOrphan { provider_id } => {
                self.end_at_provider(&ProviderId(provider_id)).await;
                Ok(Progress::Awaited)
            }
            Action::MoveEnvironment { to } => self.move_environment(view, to).await,
            Action::TurnKeys { to } => self.turn_keys(view, to).await,
            Action::MarkDeleted => self.mark_deleted().await,
            Action::FinishOperation { outcome } => self.finish(view, outcome).await,
        }
    }

    async fn make(&self, which: usize) -> Done {
        self.commit(|records| {
            records.resources[which] = Resource::Intended {
                attempts: 1,
                failure: None,
                refused: false,
                attempted_at: records.now,
            };
        })
        .await?;
        step().await;
        self.commit(|records| records.resources[which] = Resource::Ready { since: records.now })
            .await?;
        Ok(Progress::Made)
    }

    /// The role takes the password that control has by then, every time.
    async fn make_database(&self) -> Done {
        let password = self
            .commit(|records| {
                records.resources[1] = Resource::Intended {
                    attempts: 1,
                    failure: None,
                    refused: false,
                    attempted_at: records.now,
                };
                records.safe.current
            })
            .await?;
        step().await;
        // Under a lock of the database's server, which lets nobody write a password that is no longer the one.
        if self.is_held() {
            self.shared.state.borrow_mut().records.safe.database = password;
        }
        step().await;
        self.commit(|records| records.resources[1] = Resource::Ready { since: records.now })
            .await?;
        Ok(Progress::Made)
    }

    async fn turn_keys(&self, view: &View, to: KeyStage) -> Done {
        let before = view.desired.keys.clone();
        self.commit(|records| {
            // A newer turn took over: the next look sees it.
            if records.turns != view.turns || records.keys != before {
                return;
            }
            laws::may_turn(records, &to);
            let (since, at) = (records.now, records.now);
            match &to {
                KeyStage::Turned => {
                    let safe = &mut records.safe;
                    safe.before.insert(0, safe.current);
                    safe.current = records.turns;
                    reopen(&mut records.resources[1], since);
                }
                KeyStage::Settled => records.safe.before.clear(),
                KeyStage::Reencrypting | KeyStage::Both(_) => {}
            }
            records.keys = match to {
                KeyStage::Turned => KeyTurn::Turned,
                KeyStage::Reencrypting => KeyTurn::Reencrypting { since },
                KeyStage::Both(failure) => KeyTurn::Both { failure, at },
                KeyStage::Settled => KeyTurn::Settled,
            };
            records.render_anew();
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn prepare_network(&self) -> Done {
        self.begin_network().await?;
        let wanted = ClusterWanted {
            cluster: CLUSTER,
            tenant: TenantId(Uuid::nil()),
            control_url: String::new(),
            worker_types: std::collections::BTreeSet::new(),
        };
        let answer = self.shared.provider.prepare_cluster(&wanted).await;
        self.shared.state.borrow_mut().late_network = !self.is_held();
        step().await;
        self.commit(|records| match answer {
            Ok(network) => {
                records.network = network;
                records.resources[NETWORK] = Resource::Ready { since: records.now };
            }
            Err(error) => fail(&mut records.resources[NETWORK], &error),
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn remove_network(&self) -> Done {
        self.begin_network().await?;
        laws::may_lose_its_network(&self.shared);
        let answer = self.shared.provider.forget_cluster(CLUSTER).await;
        let is_left = !self.shared.provider.networks().is_empty();
        self.shared.state.borrow_mut().late_network |= answer.is_ok() && is_left;
        step().await;
        let counts_as_gone = self.shared.bug == Some(Bug::TakesNetworkForRemoved);
        self.commit(|records| match answer {
            Err(error) if !counts_as_gone => fail(&mut records.resources[NETWORK], &error),
            Ok(()) | Err(_) => {
                (records.network, records.resources[NETWORK]) = (None, Resource::Absent);
            }
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn begin_network(&self) -> Result<(), Ended> {
        self.commit(|records| {
            let attempts = match &records.resources[NETWORK] {
                Resource::Intended { attempts, .. } => attempts + 1,
                Resource::Absent | Resource::Ready { .. } => 1,
            };
            records.resources[NETWORK] = Resource::Intended {
                attempts,
                failure: None,
                refused: false,
                attempted_at: records.now,
            };
        })
        .await
    }

    async fn remove(&self, which: usize) -> Done {
        step().await;
        self.commit(|records| records.resources[which] = Resource::Absent)
            .await?;
        Ok(Progress::Made)
    }

    async fn intend(&self, wanted: &NodeWanted) -> Done {
        let node = wanted.node;
        let request = self.shared.provider.prepare(wanted).await.unwrap();
        let early = match self.shared.bug {
            Some(Bug::LaunchesBeforeRecord) => self.ask_for(&request, &ClientToken::of(node)).await.ok(),
            _ => None,
        };
        self.commit(|records| {
            let is_here = |row: &&Row| (row.role, row.ordinal) == (wanted.role, wanted.ordinal);
            if records.live_rows().any(|row| is_here(&row)) {
                return Err(Ended::Failed);
            }
            let mut row = Row::intended(node, wanted, request.0, records);
            if let Some(launched) = early {
                row.state = RowState::Launched;
                (row.provider_id, row.launched_at) = (Some(launched.id), Some(records.now));
            }
            records.rows.push(row);
            Ok(Progress::Made)
        })
        .await?
    }

    async fn launch(&self, node: NodeId) -> Done {
        let (request, token) = self
            .commit(|records| {
                let now = records.now;
                let row = in_state(records, node, RowState::Intended)?;
                row.attempts += 1;
                (row.attempted_at, row.failure) = (Some(now), None);
                Ok((LaunchRequest(row.request.clone()), row.attempts))
            })
            .await??;
        let token = match self.shared.bug {
            Some(Bug::FreshTokenEachTry) => ClientToken(format!("{node}-{token}")),
            _ => ClientToken::of(node),
        };
        let answer = self.ask_for(&request, &token).await;
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Intended)?;
            match answer {
                Ok(Launched { id, .. }) => {
                    row.state = RowState::Launched;
                    (row.provider_id, row.launched_at) = (Some(id), Some(now));
                }
                Err(error) => {
                    row.attempted_at = Some(now);
                    row.failure = Some(LaunchFailure {
                        kind: kind(&error),
                        message: error.to_string(),
                    });
                }
            }
            Ok(Progress::Made)
        })
        .await?
    }

    async fn ask_for(&self, request: &LaunchRequest, token: &ClientToken) -> Result<Launched, ProviderError> {
        if self.is_held() {
            laws::may_launch(&self.shared);
        }
        let provider = &self.shared.provider;
        let before = provider.machines().len();
        let answer = provider.launch(request, token, &boot()).await;
        let machines = provider.machines();
        if machines.len() > before && !self.is_held() {
            let late = machines.into_iter().map(|machine| machine.id).max().unwrap();
            self.shared.state.borrow_mut().late.insert(late);
        }
        laws::one_node_per_place(&self.shared);
        step().await;
        answer
    }

    /// It counts as started from before the provider is asked: what the answer says may never be heard.
    async fn start(&self, node: NodeId) -> Done {
        self.record_start(node).await?;
        let id = self
            .shared
            .state
            .borrow_mut()
            .records
            .row(node)
            .provider_id
            .clone();
        let started = self.shared.provider.start(&id.unwrap(), &boot()).await;
        step().await;
        let is_refused = started.as_ref().is_err_and(is_refusal);
        self.count_refusal(node, started.is_ok(), is_refused).await?;
        Ok(if started.is_ok() {
            Progress::Made
        } else {
            Progress::Awaited
        })
    }

    async fn switch_off(&self, node: NodeId) -> Done {
        let id = self
            .commit(|records| {
                let now = records.now;
                let row = not_gone(records, node)?;
                row.switch.asked_at = Some(now);
                Ok(row.provider_id.clone())
            })
            .await??;
        let stopped = self.shared.provider.stop(&id.unwrap()).await;
        step().await;
        let is_refused = stopped.as_ref().is_err_and(is_refusal);
        self.count_refusal(node, false, is_refused).await?;
        Ok(Progress::Awaited)
    }

    async fn count_refusal(&self, node: NodeId, works: bool, is_refused: bool) -> Result<(), Ended> {
        if !works && !is_refused {
            return Ok(());
        }
        self.commit(|records| {
            let switch = &mut records.row(node).switch;
            switch.refusals = if works { 0 } else { switch.refusals + 1 };
        })
        .await
    }

    async fn keep(&self, node: NodeId) -> Done {
        self.commit(|records| {
            let row = in_state(records, node, RowState::Launched)?;
            row.state = RowState::Kept;
            (row.stop_asked_at, row.switch.asked_at) = (None, None);
            (row.report, row.reported_at) = (None, None);
            Ok(())
        })
        .await??;
        self.shared.state.borrow_mut().ears[self.me].forget(node);
        Ok(Progress::Made)
    }

    async fn wake(&self, node: NodeId) -> Done {
        self.shared.state.borrow_mut().ears[self.me].forget(node);
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Kept)?;
            (row.state, row.launched_at) = (RowState::Launched, Some(now));
            row.switch.asked_at = None;
            (row.report, row.reported_at) = (None, None);
            row.version += 1;
            Ok(Progress::Made)
        })
        .await?
    }

    async fn record_start(&self, node: NodeId) -> Result<(), Ended> {
        self.shared.state.borrow_mut().ears[self.me].forget(node);
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Launched)?;
            row.launched_at = Some(now);
            (row.report, row.reported_at) = (None, None);
            Ok(())
        })
        .await?
    }

    async fn stop(&self, node: NodeId, loss: Option<Loss>) -> Done {
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Launched)?;
            row.stop_asked_at = row.stop_asked_at.or(Some(now));
            row.loss = row.loss.or(loss);
            row.version += 1;
            Ok(Progress::Made)
        })
        .await?
    }

    async fn terminate(&self, view: &View, node: NodeId, loss: Option<Loss>) -> Done {
        let row = self.shared.state.borrow_mut().records.row(node).clone();
        let listed = match self.shared.bug {
            Some(Bug::AdoptsByName) => self.named(&row).map(|(id, _)| id),
            _ => view.listed.iter().find(|n| n.node == node).map(|n| n.id.clone()),
        };
        let id = row.provider_id.clone().or(listed);
        let first = row.state != RowState::Terminating;
        if first {
            let known = id.clone();
            self.commit(|records| {
                let row = not_gone(records, node)?;
                row.loss = row.loss.or(loss);
                row.state = RowState::Terminating;
                row.provider_id = row.provider_id.take().or(known);
                Ok(())
            })
            .await??;
        }
        if let Some(id) = id {
            self.end_at_provider(&id).await;
        }
        if self.shared.bug == Some(Bug::ForgetsWhatItAskedToEnd) {
            return self.forget(node, loss).await;
        }
        Ok(if first { Progress::Made } else { Progress::Awaited })
    }

    async fn forget(&self, node: NodeId, loss: Option<Loss>) -> Done {
        self.commit(|records| {
            let now = records.now;
            let row = not_gone(records, node)?;
            row.loss = row.loss.or(loss);
            (row.state, row.gone_at) = (RowState::Gone, Some(now));
            Ok(())
        })
        .await??;
        self.shared.state.borrow_mut().ears[self.me].forget(node);
        Ok(Progress::Made)
    }

    async fn end_at_provider(&self, id: &ProviderId) {
        laws::may_end(&self.shared, id);
        let _ = self.shared.provider.terminate(id).await;
        step().await;
    }

    async fn move_environment(&self, view: &View, to: EnvironmentStage) -> Done {
        let before = view.desired.environment.clone();
        let generation = view.desired.generation;
        let state = &self.shared.state;
        if state.borrow().records.generation == generation {
            laws::may_move(&state.borrow(), &to);
        }
        self.commit(|records| {
            // A newer change took over: the next look sees it.
            if records.generation != generation || records.environment != before {
                return;
            }
            let (since, at) = (records.now, records.now);
            records.give(match to {
                EnvironmentStage::Workers => EnvironmentChange::Workers { since },
                EnvironmentStage::All => EnvironmentChange::All { since },
                EnvironmentStage::Settled => EnvironmentChange::Settled,
                EnvironmentStage::Abandoned(failure) => EnvironmentChange::Abandoned { failure, at },
            });
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn size_queue(&self, size: QueueSize) -> Done {
        self.commit(|records| {
            records.sizes.retain(|known| known.queue != size.queue);
            records.sizes.push(size);
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn mark_deleted(&self) -> Done {
        laws::may_be_deleted(&self.shared);
        self.commit(|records| {
            records.deleted = true;
            records.operation = None;
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn finish(&self, view: &View, outcome: Outcome) -> Done {
        let generation = view.desired.generation;
        self.commit(|records| {
            if records
                .operation
                .take_if(|operation| operation.generation == generation)
                .is_some()
            {
                records.outcome = Some(outcome);
            }
        })
        .await?;
        Ok(Progress::Made)
    }
}

fn reopen(database: &mut Resource, now: DateTime<Utc>) {
    if *database != Resource::Absent {
        *database = Resource::Intended {
            attempts: 0,
            failure: None,
            refused: false,
            attempted_at: now,
        };
    }
}

fn fail(resource: &mut Resource, error: &ProviderError) {
    if let Resource::Intended { failure, refused, .. } = resource {
        *failure = Some(error.to_string());
        *refused = matches!(error, ProviderError::Refused(_));
    }
}

fn in_state(records: &mut Records, node: NodeId, state: RowState) -> Result<&mut Row, Ended> {
    let row = records.row(node);
    if row.state == state {
        Ok(row)
    } else {
        Err(Ended::Failed)
    }
}

fn not_gone(records: &mut Records, node: NodeId) -> Result<&mut Row, Ended> {
    let row = records.row(node);
    if row.state == RowState::Gone {
        Err(Ended::Failed)
    } else {
        Ok(row)
    }
}

/// It will not, and says so.
fn is_refusal(error: &ProviderError) -> bool {
    match error {
        ProviderError::Quota(_) | ProviderError::Capacity(_) | ProviderError::Refused(_) => true,
        ProviderError::Throttled | ProviderError::Unclear(_) => false,
    }
}

pub(super) fn node_id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

pub(super) fn boot() -> BootSecret {
    BootSecret(SecretString::from("{}"))
}

fn kind(error: &ProviderError) -> LaunchFailureKind {
    match error {
        ProviderError::Quota(_) => LaunchFailureKind::Quota,
        ProviderError::Capacity(_) => LaunchFailureKind::Capacity,
        ProviderError::Throttled => LaunchFailureKind::Throttled,
        ProviderError::Refused(_) => LaunchFailureKind::Refused,
        ProviderError::Unclear(_) => LaunchFailureKind::Unclear,
    }
}
