//! Intending, launching, stopping and ending nodes.

use serde_json::json;
use updraft_model::NodeId;
use updraft_planner::{LaunchFailure, LaunchFailureKind, Loss};
use updraft_provider::{ClientToken, LaunchRequest, Launched, NodeWanted, ProviderError, ProviderId};

use super::super::bugs::Bug;
use super::super::driver::{Driver, Ended, Progress, View, step};
use super::super::laws;
use super::super::row::{Row, RowState};
use super::{Done, boot, in_state, not_gone};

// === impl Driver ===

impl Driver {
    pub(super) async fn intend(&self, view: &View, wanted: &NodeWanted) -> Done {
        let node = wanted.node;
        let request = match self.shared.api().prepare(wanted).await {
            Ok(request) => request,
            // Recorded all the same: its launch will be refused.
            Err(error) => LaunchRequest(json!({ "refused": error.to_string() })),
        };
        let early = match self.shared.bug {
            Some(Bug::LaunchesBeforeRecord) => self.ask_for(&request, &ClientToken::of(node)).await.ok(),
            _ => None,
        };
        self.commit(|records| {
            let is_here = |row: &&Row| (row.role, row.ordinal) == (wanted.role, wanted.ordinal);
            if records.live_rows().any(|row| is_here(&row)) {
                return Err(Ended::Failed);
            }
            let mut row = Row::intended(wanted, request.0, view.desired.generation, records.now);
            if let Some(launched) = early {
                row.state = RowState::Launched;
                (row.provider_id, row.launched_at) = (Some(launched.id), Some(records.now));
            }
            records.rows.push(row);
            Ok(Progress::Made)
        })
        .await?
    }

    pub(super) async fn launch(&self, node: NodeId) -> Done {
        if self.shared.bug == Some(Bug::GivesUpAtRefusal) && self.was_refused(node) {
            return Ok(Progress::Awaited);
        }
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
        let was_made = self.shared.was_made(node);
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Intended)?;
            match answer {
                Ok(Launched { id, .. }) => {
                    row.state = RowState::Launched;
                    (row.provider_id, row.launched_at) = (Some(id), Some(now));
                }
                Err(error) if self.takes_for_launched(&error) => {
                    (row.state, row.launched_at) = (RowState::Launched, Some(now));
                }
                Err(error) => {
                    row.attempted_at = Some(now);
                    row.failure = Some(LaunchFailure {
                        kind: kind(&error),
                        message: error.to_string(),
                    });
                }
            }
            laws::counts_as_launched(row, was_made);
            Ok(Progress::Made)
        })
        .await?
    }

    fn was_refused(&self, node: NodeId) -> bool {
        let failure = self.shared.state.borrow_mut().records.row(node).failure.clone();
        failure.is_some_and(|failure| failure.kind == LaunchFailureKind::Refused)
    }

    fn takes_for_launched(&self, error: &ProviderError) -> bool {
        match error {
            ProviderError::Refused(_) => self.shared.bug == Some(Bug::TakesRefusalForLaunch),
            ProviderError::Unclear(_) => self.shared.bug == Some(Bug::TakesSilenceForLaunch),
            ProviderError::Quota(_) | ProviderError::Capacity(_) | ProviderError::Throttled => false,
        }
    }

    async fn ask_for(&self, request: &LaunchRequest, token: &ClientToken) -> Result<Launched, ProviderError> {
        if self.is_held() {
            laws::may_launch(&self.shared);
        }
        let provider = &self.shared.provider;
        let before = provider.machines().len();
        let answer = self.shared.api().launch(request, token, &boot()).await;
        let machines = provider.machines();
        if machines.len() > before && !self.is_held() {
            let late = machines.into_iter().map(|machine| machine.id).max().unwrap();
            self.shared.state.borrow_mut().late.insert(late);
        }
        laws::one_node_per_place(&self.shared);
        step().await;
        answer
    }

    pub(super) async fn stop(&self, node: NodeId, loss: Option<Loss>) -> Done {
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Launched)?;
            row.stop_asked_at = row.stop_asked_at.or(Some(now));
            row.loss = row.loss.or(loss);
            row.assign_anew();
            Ok(Progress::Made)
        })
        .await?
    }

    pub(super) async fn terminate(&self, view: &View, node: NodeId, loss: Option<Loss>) -> Done {
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

    pub(super) async fn forget(&self, node: NodeId, loss: Option<Loss>) -> Done {
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

    pub(super) async fn end_at_provider(&self, id: &ProviderId) {
        laws::may_end(&self.shared, id);
        let _ = self.shared.api().terminate(id).await;
        step().await;
    }
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
