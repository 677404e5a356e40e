//! Start, stop, restart, rotation of keys and delete: what is wanted of a cluster as a whole.

use serde_json::json;
use updraft_api::rest::Accepted;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, OperationKind, Power};
use updraft_store::{StoreError, clusters, key_turns, operations};

use crate::audit::{self, attempt};
use crate::changes::{Change, Written};
use crate::{App, AppError, view};

/// What a person asks of a cluster's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Start,
    Stop,
    Restart,
    RotateKeys,
    Delete,
}

impl App {
    /// Starts the cluster, or tries again when it failed; services stopped one by one are started too.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::QuotaExceeded`], [`AppError::ClusterDeleting`].
    pub async fn start_cluster(&self, actor: &Actor, id: ClusterId) -> Result<Accepted, AppError> {
        self.ask(actor, id, Ask::Start).await
    }

    /// Stops the cluster; its database, DAGs and URL stay.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::ClusterDeleting`].
    pub async fn stop_cluster(&self, actor: &Actor, id: ClusterId) -> Result<Accepted, AppError> {
        self.ask(actor, id, Ask::Stop).await
    }

    /// Restarts every service of a running cluster.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::ClusterStopped`], [`AppError::ClusterDeleting`].
    pub async fn restart_cluster(&self, actor: &Actor, id: ClusterId) -> Result<Accepted, AppError> {
        self.ask(actor, id, Ask::Restart).await
    }

    /// Gives the cluster other keys, each and every one. Its nodes end for that, workers once their tasks are done; a cluster
    /// that is to run starts again with them.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::ClusterDeleting`].
    pub async fn rotate_keys(&self, actor: &Actor, id: ClusterId) -> Result<Accepted, AppError> {
        self.ask(actor, id, Ask::RotateKeys).await
    }

    /// Deletes the cluster for good.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`].
    pub async fn delete_cluster(&self, actor: &Actor, id: ClusterId) -> Result<Accepted, AppError> {
        self.ask(actor, id, Ask::Delete).await
    }

    async fn ask(&self, actor: &Actor, id: ClusterId, ask: Ask) -> Result<Accepted, AppError> {
        let attempt = attempt(ask.name());
        let mut change = self.begin_change(actor, id, ask.action(), attempt).await?;
        if let Some(accepted) = self.under_way(&mut change, actor, ask).await? {
            change
                .attempt
                .done(&mut change.tx, actor, audit::Change::none())
                .await?;
            change.tx.commit().await.map_err(StoreError::from)?;
            return Ok(accepted);
        }
        ask.check(change.cluster.power)?;
        let wanted = ask.power(change.cluster.power);
        if ask == Ask::RotateKeys {
            let attempt = change.cluster.generation.next();
            key_turns::begin(&mut change.tx, actor.tenant, id, attempt).await?;
        } else if wanted == Power::Running {
            let nodes = change.cluster.spec.most_nodes();
            change.check_nodes(actor, nodes).await?;
            let mut wishes = change.cluster.service_wishes.clone();
            wishes.start_all();
            clusters::set_service_wishes(&mut change.tx, actor.tenant, id, &wishes).await?;
        }
        clusters::set_power(&mut change.tx, actor.tenant, id, wanted, ask == Ask::Restart).await?;
        let power = |power: Power| json!({"power": power});
        let written = Written {
            kind: ask.kind(),
            message: ask.message(),
            attempt: change.attempt,
            change: audit::Change::between(power(change.cluster.power), power(wanted)),
        };
        self.accept(change.tx, actor, id, written).await
    }

    /// The running operation, when it is what is asked for anyway: pressed twice is pressed once.
    async fn under_way(
        &self,
        change: &mut Change,
        actor: &Actor,
        ask: Ask,
    ) -> Result<Option<Accepted>, AppError> {
        let id = change.cluster.id;
        let running = operations::find_running(&mut change.tx, actor.tenant, id).await?;
        let same = running.filter(|operation| {
            ask != Ask::Restart
                && change.cluster.power == ask.power(change.cluster.power)
                && ask.is_done_by(operation.kind)
        });
        Ok(same.map(|operation| Accepted {
            cluster: view::cluster(change.cluster.clone(), actor.tenant, change.role, self.config()),
            operation: view::operation(operation),
        }))
    }
}

// === impl Ask ===

impl Ask {
    fn action(self) -> ClusterAction {
        match self {
            Self::Start | Self::Stop | Self::Restart | Self::RotateKeys => ClusterAction::Operate,
            Self::Delete => ClusterAction::Change,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Start => "cluster.start",
            Self::Stop => "cluster.stop",
            Self::Restart => "cluster.restart",
            Self::RotateKeys => "cluster.rotate_keys",
            Self::Delete => "cluster.delete",
        }
    }

    /// What is wanted of a cluster from then on of which this was.
    fn power(self, before: Power) -> Power {
        match self {
            Self::RotateKeys => before,
            Self::Start | Self::Restart => Power::Running,
            Self::Stop => Power::Stopped,
            Self::Delete => Power::Deleted,
        }
    }

    fn kind(self) -> OperationKind {
        match self {
            Self::Start => OperationKind::Start,
            Self::Stop => OperationKind::Stop,
            Self::Restart => OperationKind::Restart,
            Self::RotateKeys => OperationKind::RotateKeys,
            Self::Delete => OperationKind::Delete,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Start => "started the cluster",
            Self::Stop => "stopped the cluster",
            Self::Restart => "restarted the cluster",
            Self::RotateKeys => "had the cluster's keys rotated",
            Self::Delete => "deleted the cluster",
        }
    }

    /// Whether an operation of this kind, once done, has done what is asked.
    fn is_done_by(self, kind: OperationKind) -> bool {
        match self {
            Self::Start => matches!(kind, OperationKind::Start | OperationKind::Create),
            Self::Stop => kind == OperationKind::Stop,
            Self::Restart => false,
            Self::RotateKeys => kind == OperationKind::RotateKeys,
            Self::Delete => kind == OperationKind::Delete,
        }
    }

    fn check(self, power: Power) -> Result<(), AppError> {
        match (self, power) {
            (Self::Delete, _)
            | (Self::Start | Self::Stop | Self::RotateKeys, Power::Running | Power::Stopped)
            | (Self::Restart, Power::Running) => Ok(()),
            (Self::Restart, Power::Stopped) => Err(AppError::ClusterStopped),
            (Self::Start | Self::Stop | Self::Restart | Self::RotateKeys, Power::Deleted) => {
                Err(AppError::ClusterDeleting)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::Power;

    use super::Ask;
    use crate::AppError;

    #[test]
    fn a_cluster_on_its_way_out_only_takes_deletion() {
        for ask in [Ask::Start, Ask::Stop, Ask::Restart, Ask::RotateKeys] {
            assert!(matches!(
                ask.check(Power::Deleted),
                Err(AppError::ClusterDeleting)
            ));
        }
        assert!(Ask::Delete.check(Power::Deleted).is_ok());
    }

    #[test]
    fn only_what_runs_is_restarted() {
        assert!(matches!(
            Ask::Restart.check(Power::Stopped),
            Err(AppError::ClusterStopped)
        ));
        assert!(Ask::Restart.check(Power::Running).is_ok());
    }
}
