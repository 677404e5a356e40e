//! What a driver does for each action: record before effect, in the product's order.

mod keys;
mod nodes;
mod resources;
mod switching;

use secrecy::SecretString;
use updraft_model::NodeId;
use updraft_planner::{Action, EnvironmentChange, EnvironmentStage, Outcome, QueueSize};
use updraft_provider::{BootSecret, NodeWanted, ProviderId};
use uuid::Uuid;

use super::bugs::Bug;
use super::driver::{Driver, Ended, Progress, View};
use super::records::Records;
use super::row::{Row, RowState};
use super::{CLUSTER, laws};

type Done = Result<Progress, Ended>;

// === impl Driver ===

impl Driver {
    pub(super) async fn execute_one(&self, view: &View, action: Action) -> Done {
        match action {
            Action::EnsureSecrets => self.ensure_secrets().await,
            Action::EnsureDatabase => self.ensure_database().await,
            Action::EnsureStorage => self.ensure_storage().await,
            Action::RemoveSecrets => self.remove_secrets().await,
            Action::DropDatabase => self.drop_database().await,
            Action::RemoveStorage => self.remove_storage().await,
            Action::EnsureNetwork => self.ensure_network().await,
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
                self.intend(view, &wanted).await
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
        if self.is_held() {
            laws::may_be_deleted(&self.shared);
        }
        self.commit(|records| {
            records.deleted = true;
            records.operation = None;
        })
        .await?;
        Ok(Progress::Made)
    }

    async fn finish(&self, view: &View, outcome: Outcome) -> Done {
        if self.shared.bug == Some(Bug::TellsNoFailure) && outcome != Outcome::Succeeded {
            return Ok(Progress::Awaited);
        }
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

pub(super) fn node_id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

pub(super) fn boot() -> BootSecret {
    BootSecret(SecretString::from("{}"))
}
