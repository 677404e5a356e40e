//! Follows the requirements file of a cluster's DAGs: what the live version asks for becomes the spec's.

use updraft_api::agent::RequirementsReport;
use updraft_app::{Following, take_found};
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
        let asked = &cluster.spec.environment.from_dags;
        if asked.is_none() || view.operation.is_some() || cluster.power != Power::Running {
            return Ok(false);
        }
        let Some(said) = self.requirements(view) else {
            return Ok(false);
        };
        let mut tx = self.fenced(lease).await?;
        let following = Following {
            tenant: cluster.tenant,
            cluster: cluster.id,
            generation: cluster.generation,
            spec: &cluster.spec,
        };
        match take_found(&mut tx, following, &said).await {
            Ok(false) => Ok(false),
            Ok(true) => commit(tx).await.map(|()| true),
            // Somebody changed the cluster: the next look sees it.
            Err(StoreError::Missing { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// As the scheduler's node last said it.
    fn requirements(&self, view: &View) -> Option<RequirementsReport> {
        let resolver = view
            .records
            .iter()
            .find(|record| record.role == NodeRole::Scheduler)?;
        if let Some((_, report)) = self.parts.liveness.latest(resolver.id) {
            return report.dags.requirements.clone();
        }
        let kept = resolver.report.as_ref()?.get("dags")?.get("requirements")?;
        serde_json::from_value(kept.clone()).ok()
    }
}
