//! Starting machines that stand still, switching them off while their cluster is stopped, and waking them.

use updraft_model::NodeId;
use updraft_provider::ProviderError;

use super::super::driver::{Driver, Ended, Progress, step};
use super::super::row::RowState;
use super::{Done, boot, in_state, not_gone};

// === impl Driver ===

impl Driver {
    /// It counts as started from before the provider is asked: what the answer says may never be heard.
    pub(super) async fn start(&self, node: NodeId) -> Done {
        self.record_start(node).await?;
        let id = self
            .shared
            .state
            .borrow_mut()
            .records
            .row(node)
            .provider_id
            .clone();
        let started = self.shared.api().start(&id.unwrap(), &boot()).await;
        step().await;
        let is_refused = started.as_ref().is_err_and(is_refusal);
        self.count_refusal(node, started.is_ok(), is_refused).await?;
        Ok(if started.is_ok() {
            Progress::Made
        } else {
            Progress::Awaited
        })
    }

    pub(super) async fn switch_off(&self, node: NodeId) -> Done {
        let id = self
            .commit(|records| {
                let now = records.now;
                let row = not_gone(records, node)?;
                row.switch.asked_at = Some(now);
                Ok(row.provider_id.clone())
            })
            .await??;
        let stopped = self.shared.api().stop(&id.unwrap()).await;
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

    pub(super) async fn keep(&self, node: NodeId) -> Done {
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

    pub(super) async fn wake(&self, node: NodeId) -> Done {
        self.shared.state.borrow_mut().ears[self.me].forget(node);
        self.commit(|records| {
            let now = records.now;
            let row = in_state(records, node, RowState::Kept)?;
            (row.state, row.launched_at) = (RowState::Launched, Some(now));
            row.switch.asked_at = None;
            (row.report, row.reported_at) = (None, None);
            row.assign_anew();
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
}

/// It will not, and says so.
fn is_refusal(error: &ProviderError) -> bool {
    match error {
        ProviderError::Quota(_) | ProviderError::Capacity(_) | ProviderError::Refused(_) => true,
        ProviderError::Throttled | ProviderError::Unclear(_) => false,
    }
}
