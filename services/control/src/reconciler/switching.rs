//! Switching machines off for as long as their cluster is stopped, and waking them when it is started.

use tokio::time::timeout;
use updraft_model::NodeId;
use updraft_planner::limits;
use updraft_provider::{ProviderError, ProviderId};
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::leases::Lease;
use updraft_store::nodes;

use super::execute::{Progress, commit};
use super::observe::View;
use super::record::cluster_event;
use super::{ReconcileError, Reconciler};

impl Reconciler {
    pub(super) async fn switch_off(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
    ) -> Result<Progress, ReconcileError> {
        let Some(id) = view.record(node)?.provider_id.clone().map(ProviderId) else {
            return Ok(Progress::Awaited);
        };
        let mut tx = self.fenced(lease).await?;
        nodes::ask_switch_off(&mut tx, node).await?;
        commit(tx).await?;
        match timeout(self.parts.settings.call_timeout, self.parts.provider.stop(&id)).await {
            Ok(Ok(())) | Err(_) => Ok(Progress::Awaited),
            Ok(Err(error)) => {
                tracing::warn!(node.id = %node, %error, "the provider does not switch a machine off");
                self.note_refusal_to_switch(lease, view, node, &error, "switched off")
                    .await
            }
        }
    }

    pub(super) async fn keep_machine(&self, lease: &Lease, node: NodeId) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        nodes::keep(&mut tx, node).await?;
        commit(tx).await?;
        self.parts.liveness.forget(node);
        Ok(Progress::Made)
    }

    pub(super) async fn wake_machine(&self, lease: &Lease, node: NodeId) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        nodes::wake(&mut tx, node).await?;
        commit(tx).await?;
        self.parts.liveness.forget(node);
        Ok(Progress::Made)
    }

    /// What passes by itself is no refusal. People are told when it is given up.
    pub(super) async fn note_refusal_to_switch(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
        error: &ProviderError,
        what: &str,
    ) -> Result<Progress, ReconcileError> {
        if !is_refusal(error) {
            return Ok(Progress::Awaited);
        }
        let mut tx = self.fenced(lease).await?;
        if nodes::count_refusal(&mut tx, node).await? == limits::SWITCH_REFUSALS {
            let label = view.record(node)?.label();
            let message =
                format!("{label} could not be {what}: {error}; it is ended, and a start makes another.");
            let event = NewEvent {
                node: Some((node, &label)),
                ..cluster_event(view, "node_not_kept", EventSeverity::Warning, &message)
            };
            events::append(&mut tx, &event).await?;
        }
        commit(tx).await?;
        Ok(Progress::Awaited)
    }
}

fn is_refusal(error: &ProviderError) -> bool {
    match error {
        ProviderError::Quota(_) | ProviderError::Capacity(_) | ProviderError::Refused(_) => true,
        ProviderError::Throttled | ProviderError::Unclear(_) => false,
    }
}
