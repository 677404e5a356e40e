//! Follows what a cluster's DAGs bring along beside themselves: what the live version has of requirements and plugins
//! becomes the spec's.

use updraft_api::agent::Report;
use updraft_app::{Brought, Following, take_found};
use updraft_model::{NodeRole, Power};
use updraft_store::StoreError;
use updraft_store::leases::Lease;

use super::execute::commit;
use super::observe::View;
use super::{ReconcileError, Reconciler};

impl Reconciler {
    /// True when the spec is another now. What people asked for is finished first.
    pub(super) async fn follow_requirements(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<bool, ReconcileError> {
        let cluster = &view.cluster;
        if view.operation.is_some() || cluster.power != Power::Running {
            return Ok(false);
        }
        let Some(brought) = self.brought(view) else {
            return Ok(false);
        };
        let mut tx = self.fenced(lease).await?;
        let following = Following {
            tenant: cluster.tenant,
            cluster: cluster.id,
            generation: cluster.generation,
            spec: &cluster.spec,
        };
        match take_found(&mut tx, following, &brought).await {
            Ok(false) => Ok(false),
            Ok(true) => commit(tx).await.map(|()| true),
            // Somebody changed the cluster: the next look sees it.
            Err(StoreError::Missing { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// As the scheduler's node last said it.
    fn brought(&self, view: &View) -> Option<Brought> {
        let resolver = view
            .records
            .iter()
            .find(|record| record.role == NodeRole::Scheduler)?;
        let age = resolver.reported_at.map(|at| view.now - at);
        if let Some(report) = self.parts.liveness.latest_since(resolver.id, age) {
            return Brought::of(&report);
        }
        let kept: Report = serde_json::from_value(resolver.report.clone()?).ok()?;
        Brought::of(&kept)
    }
}
