//! What every change of a cluster shares: lock, authorise, open an operation, answer.

use updraft_api::rest::Accepted;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, ClusterRole, OperationId, OperationKind, Power};
use updraft_store::clusters::{self, ClusterRecord, Usage};
use updraft_store::operations::{self, NewOperation};
use updraft_store::tenants::Quota;
use updraft_store::{StoreError, Tx, event_log, tenants};
use uuid::Uuid;

use crate::audit::{self, Attempt, Target};
use crate::error::{AppError, Resource};
use crate::{App, access, quota, view};

/// A cluster locked for a change by someone who may change it.
pub(crate) struct Change {
    pub(crate) tx: Tx,
    pub(crate) cluster: ClusterRecord,
    pub(crate) role: ClusterRole,
    pub(crate) attempt: Attempt,
    quota: Quota,
}

/// What was written, for the operation, the event log and the audit log.
pub(crate) struct Written<'a> {
    pub(crate) kind: OperationKind,
    /// As the event log says it after the person's address: `started the cluster`.
    pub(crate) message: &'a str,
    pub(crate) attempt: Attempt,
    pub(crate) change: audit::Change,
}

impl App {
    /// Locks the cluster. Changes of one tenant go one after the other, so that quotas hold.
    pub(crate) async fn begin_change(
        &self,
        actor: &Actor,
        cluster: ClusterId,
        action: ClusterAction,
        attempt: Attempt,
    ) -> Result<Change, AppError> {
        let attempt = attempt.on(Target::new("cluster", cluster, None));
        let mut tx = self.store().begin().await?;
        let quota = tenants::lock_quota(&mut tx, actor.tenant).await?;
        if !clusters::lock(&mut tx, actor.tenant, cluster).await? {
            return Err(AppError::NotFound(Resource::Cluster));
        }
        let (cluster, role) = access::cluster(&mut tx, actor, cluster, action).await?;
        Ok(Change {
            tx,
            attempt: attempt.on(Target::cluster(cluster.id, &cluster.name)),
            cluster,
            role,
            quota,
        })
    }

    /// Opens an operation for what was just written, tells both logs, and answers.
    pub(crate) async fn accept(
        &self,
        mut tx: Tx,
        actor: &Actor,
        cluster: ClusterId,
        written: Written<'_>,
    ) -> Result<Accepted, AppError> {
        let (record, role) = access::cluster(&mut tx, actor, cluster, ClusterAction::View).await?;
        let id = OperationId(Uuid::now_v7());
        let operation = NewOperation {
            id,
            tenant: actor.tenant,
            cluster,
            kind: written.kind,
            generation: record.generation,
            requested_by: Some(actor.user),
            cause: None,
        };
        operations::open(&mut tx, &operation).await?;
        let message = format!("{} {}", actor.email, written.message);
        event_log::append(
            &mut tx,
            actor.tenant,
            Some(cluster),
            event_kind(written.kind),
            &message,
        )
        .await?;
        let attempt = written.attempt.on(Target::cluster(cluster, &record.name));
        attempt.done(&mut tx, actor, written.change).await?;
        let operation = operations::find(&mut tx, actor.tenant, id)
            .await?
            .ok_or(AppError::Internal {
                what: "reading back an operation",
            })?;
        tx.commit().await.map_err(StoreError::from)?;
        let record = ClusterRecord {
            operation: Some(id),
            ..record
        };
        Ok(Accepted {
            cluster: view::cluster(record, actor.tenant, role, self.config()),
            operation: view::operation(operation),
        })
    }
}

// === impl Change ===

impl Change {
    /// Refuses what would take the tenant over its quota of nodes.
    pub(crate) async fn check_nodes(&mut self, actor: &Actor, nodes: u32) -> Result<(), AppError> {
        let others = clusters::usage(&mut self.tx, actor.tenant, Some(self.cluster.id)).await?;
        quota::check(self.quota, others, Usage { clusters: 0, nodes })
    }

    /// Refuses changes of a cluster that is on its way out.
    pub(crate) fn check_not_deleting(&self) -> Result<(), AppError> {
        match self.cluster.power {
            Power::Running | Power::Stopped => Ok(()),
            Power::Deleted => Err(AppError::ClusterDeleting),
        }
    }
}

fn event_kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "create_requested",
        OperationKind::Start => "start_requested",
        OperationKind::Stop => "stop_requested",
        OperationKind::Restart => "restart_requested",
        OperationKind::Update => "update_requested",
        OperationKind::Delete => "delete_requested",
        OperationKind::Service => "service_change_requested",
        OperationKind::RotateKeys => "key_rotation_requested",
    }
}
