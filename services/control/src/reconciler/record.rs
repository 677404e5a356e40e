//! Writes what a plan says of the cluster: phase and timeline, each only when it changed.

use updraft_model::{Failure, Phase};
use updraft_planner::Plan;
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::leases::{self, Lease};
use updraft_store::operation_steps;

use super::observe::View;
use super::{ReconcileError, Reconciler};

impl Reconciler {
    pub(super) async fn record(&self, lease: &Lease, view: &View, plan: &Plan) -> Result<(), ReconcileError> {
        let phase_changed = plan.phase != view.cluster.phase;
        let timeline = view.operation.zip(view.desired.operation.as_ref());
        let steps_changed = timeline.is_some_and(|(_, operation)| operation.steps != plan.steps);
        if !phase_changed && !steps_changed {
            return Ok(());
        }
        let mut tx = self.parts.store.begin().await?;
        leases::hold(&mut tx, lease).await?;
        if phase_changed {
            leases::set_phase(&mut tx, view.cluster.id, &plan.phase).await?;
        }
        if plan.phase.word() != view.cluster.phase.word() {
            let message = sentence(&plan.phase);
            events::append(
                &mut tx,
                &cluster_event(view, "phase_changed", severity(&plan.phase), &message),
            )
            .await?;
        }
        if let Some((operation, _)) = timeline.filter(|_| steps_changed) {
            operation_steps::write(&mut tx, operation, &plan.steps).await?;
        }
        tx.commit().await.map_err(updraft_store::StoreError::from)?;
        Ok(())
    }
}

/// An event of the cluster as a whole.
pub(super) fn cluster_event<'a>(
    view: &View,
    kind: &'a str,
    severity: EventSeverity,
    message: &'a str,
) -> NewEvent<'a> {
    NewEvent {
        tenant: view.cluster.tenant,
        cluster: Some(view.cluster.id),
        node: None,
        service: None,
        kind,
        severity,
        message,
    }
}

/// What happened and what to do, in one breath.
pub(super) fn failure_sentence(failure: &Failure) -> String {
    format!("{} {}", failure.message, failure.remedy)
}

fn sentence(phase: &Phase) -> String {
    match phase {
        Phase::Stopped => "The cluster has stopped.".to_owned(),
        Phase::Starting { .. } => "The cluster is starting.".to_owned(),
        Phase::Running => "The cluster is running.".to_owned(),
        Phase::Degraded { reasons } => format!("The cluster is degraded: {}.", reasons.join("; ")),
        Phase::Stopping => "The cluster is stopping.".to_owned(),
        Phase::Deleting => "The cluster is being deleted.".to_owned(),
        Phase::Failed { reason } => failure_sentence(reason),
    }
}

fn severity(phase: &Phase) -> EventSeverity {
    match phase {
        Phase::Stopped | Phase::Starting { .. } | Phase::Running | Phase::Stopping | Phase::Deleting => {
            EventSeverity::Info
        }
        Phase::Degraded { .. } => EventSeverity::Warning,
        Phase::Failed { .. } => EventSeverity::Error,
    }
}
