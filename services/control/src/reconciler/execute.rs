//! One arm for each action, and no choice in any.

use futures::future::join_all;
use updraft_model::NodeId;
use updraft_planner::{Action, Loss, Outcome};
use updraft_provider::{NodeWanted, ProviderError, ProviderId};
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::leases::{self, Lease};
use updraft_store::nodes::{self, NodeRecord, RecordState};
use updraft_store::{StoreError, Tx, environment_copies, operation_steps};
use uuid::Uuid;

use super::launch::failure;
use super::observe::View;
use super::record::{cluster_event, failure_sentence};
use super::{ReconcileError, Reconciler};

/// Whether another look may find something new at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Made,
    /// Asked again for what was asked before: only time will tell.
    Awaited,
    /// Others are being launched: their turn comes first.
    Queued,
}

impl Reconciler {
    /// All actions at once: the planner promises that they are independent.
    pub(super) async fn execute(
        &self,
        lease: &Lease,
        view: &View,
        actions: &[Action],
    ) -> Result<Progress, ReconcileError> {
        let all = join_all(actions.iter().map(|action| self.execute_one(lease, view, action))).await;
        let results: Vec<_> = all.into_iter().collect::<Result<_, _>>()?;
        let first = [Progress::Made, Progress::Queued]
            .into_iter()
            .find(|progress| results.contains(progress));
        Ok(first.unwrap_or(Progress::Awaited))
    }

    async fn execute_one(
        &self,
        lease: &Lease,
        view: &View,
        action: &Action,
    ) -> Result<Progress, ReconcileError> {
        match action {
            Action::EnsureSecrets => self.ensure_secrets(lease, view).await,
            Action::EnsureDatabase => self.ensure_database(lease, view).await,
            Action::EnsureStorage => self.ensure_storage(lease, view).await,
            Action::EnsureNetwork => self.ensure_network(lease, view).await,
            Action::IntendNode {
                role,
                ordinal,
                queue,
                instance_type,
            } => {
                let wanted = NodeWanted {
                    cluster: view.cluster.id,
                    node: NodeId(Uuid::now_v7()),
                    role: *role,
                    ordinal: *ordinal,
                    queue: queue.clone(),
                    instance_type: instance_type.clone(),
                    tenant: Some(view.cluster.tenant),
                    generation: Some(view.cluster.generation),
                    fence: Some(lease.fence),
                    network: view.network.clone(),
                };
                self.intend(lease, view, wanted).await
            }
            Action::SizeQueue { size } => self.size_queue(lease, view, size).await,
            Action::LaunchNode { node } => self.launch(lease, view, *node).await,
            Action::StartNode { node } => self.start(lease, view, *node).await,
            Action::StopNode { node, loss } => self.stop(lease, view, *node, *loss).await,
            Action::SwitchOffNode { node } => self.switch_off(lease, view, *node).await,
            Action::KeepNode { node } => self.keep_machine(lease, *node).await,
            Action::WakeNode { node } => self.wake_machine(lease, *node).await,
            Action::TerminateNode { node, loss } => self.terminate(lease, view, *node, *loss).await,
            Action::ForgetNode { node, loss } => self.forget(lease, view, *node, *loss).await,
            Action::TerminateOrphan { provider_id } => self.terminate_orphan(view, provider_id).await,
            Action::MoveEnvironment { to } => self.move_environment(lease, view, to).await,
            Action::TurnKeys { to } => self.turn_keys(lease, view, to).await,
            Action::DropDatabase => self.drop_database(lease, view).await,
            Action::RemoveStorage => self.remove_storage(lease, view).await,
            Action::RemoveNetwork => self.remove_network(lease, view).await,
            Action::RemoveSecrets => self.remove_secrets(lease, view).await,
            Action::MarkDeleted => self.mark_deleted(lease, view).await,
            Action::FinishOperation { outcome } => self.finish(lease, view, outcome).await,
        }
    }

    async fn stop(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
        loss: Option<Loss>,
    ) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        nodes::ask_stop(&mut tx, node, loss.map(Loss::as_str)).await?;
        tell_loss(&mut tx, view, node, loss, None).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    async fn terminate(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
        loss: Option<Loss>,
    ) -> Result<Progress, ReconcileError> {
        let record = view.record(node)?;
        let listed = view
            .listed
            .iter()
            .find(|listed| listed.node == node)
            .map(|listed| listed.id.0.clone());
        let id = record.provider_id.clone().or(listed);
        let first = record.state != RecordState::Terminating;
        if first {
            let why = self.why_ended(record, loss).await;
            let mut tx = self.fenced(lease).await?;
            remember_why(&mut tx, node, why.as_ref()).await?;
            nodes::begin_termination(&mut tx, node, loss.map(Loss::as_str), id.as_deref()).await?;
            tell_loss(&mut tx, view, node, loss, why.as_ref()).await?;
            commit(tx).await?;
        }
        if let Some(id) = id {
            self.end_at_provider(&ProviderId(id)).await;
        }
        Ok(if first { Progress::Made } else { Progress::Awaited })
    }

    async fn terminate_orphan(&self, view: &View, provider_id: &str) -> Result<Progress, ReconcileError> {
        tracing::warn!(
            cluster.id = view.cluster.id.0,
            provider.id = provider_id,
            "ending a node without a live record"
        );
        self.end_at_provider(&ProviderId(provider_id.to_owned())).await;
        Ok(Progress::Awaited)
    }

    async fn forget(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
        loss: Option<Loss>,
    ) -> Result<Progress, ReconcileError> {
        let why = self.why_ended(view.record(node)?, loss).await;
        let mut tx = self.fenced(lease).await?;
        remember_why(&mut tx, node, why.as_ref()).await?;
        nodes::forget(&mut tx, node, loss.map(Loss::as_str)).await?;
        tell_loss(&mut tx, view, node, loss, why.as_ref()).await?;
        commit(tx).await?;
        self.parts.liveness.forget(node);
        Ok(Progress::Made)
    }

    async fn mark_deleted(&self, lease: &Lease, view: &View) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        if let Some(operation) = view.operation {
            operation_steps::finish(&mut tx, operation, None).await?;
        }
        events::append(
            &mut tx,
            &cluster_event(
                view,
                "cluster_deleted",
                EventSeverity::Info,
                "The cluster is deleted.",
            ),
        )
        .await?;
        environment_copies::forget_cluster(&mut tx, view.cluster.tenant, view.cluster.id).await?;
        leases::mark_deleted(&mut tx, view.cluster.id).await?;
        self.parts.assignments.forget(view.cluster.id);
        commit(tx).await?;
        Ok(Progress::Made)
    }

    async fn finish(
        &self,
        lease: &Lease,
        view: &View,
        outcome: &Outcome,
    ) -> Result<Progress, ReconcileError> {
        let Some(operation) = view.operation else {
            return Ok(Progress::Awaited);
        };
        let mut tx = self.fenced(lease).await?;
        let failure = match outcome {
            Outcome::Succeeded => None,
            Outcome::Failed(failure) => Some(failure),
        };
        match operation_steps::finish(&mut tx, operation, failure).await {
            // A newer change took over: the next look sees it.
            Err(StoreError::Missing { .. }) => return Ok(Progress::Made),
            finished => finished?,
        }
        if let Some(failure) = failure {
            let message = failure_sentence(failure);
            events::append(
                &mut tx,
                &cluster_event(view, "operation_failed", EventSeverity::Error, &message),
            )
            .await?;
        }
        commit(tx).await?;
        Ok(Progress::Made)
    }

    /// A failure is seen at the next look: the node is still listed then.
    pub(super) async fn end_at_provider(&self, id: &ProviderId) {
        if let Err(error) = self.parts.answered(self.parts.provider.terminate(id)).await {
            tracing::warn!(provider.id = %id, %error, "the provider does not end a node");
        }
    }

    /// What the provider says of a node that ended while it started: the launch was taken, so nothing else tells. Of those
    /// that worked it is not asked, since many may be lost at once. Where it gives no answer it is asked once more, before
    /// the node is forgotten.
    async fn why_ended(&self, record: &NodeRecord, loss: Option<Loss>) -> Option<ProviderError> {
        let is_late = loss == Some(Loss::Vanished) && record.reported_at.is_none();
        let is_news = record.launch_failure.is_none();
        let id = ProviderId(record.provider_id.clone().filter(|_| is_late && is_news)?);
        let answer = self.parts.answered(self.parts.provider.why_ended(&id)).await;
        answer.ok().flatten()
    }

    /// A transaction in which this driver surely still has the cluster.
    pub(super) async fn fenced(&self, lease: &Lease) -> Result<Tx, ReconcileError> {
        let mut tx = self.parts.store.begin().await?;
        leases::hold(&mut tx, lease).await?;
        Ok(tx)
    }
}

pub(super) async fn commit(tx: Tx) -> Result<(), ReconcileError> {
    Ok(tx.commit().await.map_err(StoreError::from)?)
}

/// For the operation that waits for the node, whichever process looks at it next.
async fn remember_why(tx: &mut Tx, node: NodeId, why: Option<&ProviderError>) -> Result<(), ReconcileError> {
    if let Some(why) = why {
        nodes::record_late_failure(tx, node, &failure(why)).await?;
    }
    Ok(())
}

/// Says once that a node was lost: when its record first says so.
async fn tell_loss(
    tx: &mut Tx,
    view: &View,
    node: NodeId,
    loss: Option<Loss>,
    why: Option<&ProviderError>,
) -> Result<(), ReconcileError> {
    let record = view.record(node)?;
    let Some(loss) = loss.filter(|_| record.loss.is_none()) else {
        return Ok(());
    };
    let label = record.label();
    let message = match why {
        Some(why) => format!("{label} ended while it started, and is being replaced: {why}."),
        None => format!("{label} {}; it is being replaced.", loss.words()),
    };
    let kind = match loss {
        Loss::Reclaimed => "node_reclaimed",
        Loss::Vanished | Loss::Silent | Loss::NeverReported | Loss::Impaired => "node_lost",
    };
    let event = NewEvent {
        node: Some((node, &label)),
        ..cluster_event(view, kind, EventSeverity::Warning, &message)
    };
    Ok(events::append(tx, &event).await?)
}

// === impl View ===

impl View {
    pub(super) fn record(&self, node: NodeId) -> Result<&NodeRecord, ReconcileError> {
        let record = self.records.iter().find(|record| record.id == node);
        record.ok_or_else(|| ReconcileError::Corrupt {
            what: format!("node {node}"),
        })
    }
}
