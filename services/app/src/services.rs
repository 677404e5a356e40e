//! A cluster's services, and what people ask of single ones.

use serde_json::json;
use updraft_api::rest::{Accepted, ServiceVerb, ServiceView};
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, NodeId, OperationKind, Power, ServiceName};
use updraft_store::{clusters, node_list};

use crate::App;
use crate::audit::{self, attempt};
use crate::changes::Written;
use crate::error::{AppError, Resource};

impl App {
    /// Every service as its node's agent last reported it.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn list_services(&self, actor: &Actor, id: ClusterId) -> Result<Vec<ServiceView>, AppError> {
        let nodes = self.list_nodes(actor, id).await?;
        let services = nodes.into_iter().flat_map(|node| {
            let (id, label) = (node.id, node.label);
            node.services.into_iter().map(move |status| ServiceView {
                node: id,
                node_label: label.clone(),
                status,
            })
        });
        Ok(services.collect())
    }

    /// Starts, stops or restarts one service, on one node or on all that have it.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for the cluster or the node, [`AppError::Forbidden`], [`AppError::ClusterStopped`],
    /// [`AppError::ClusterDeleting`].
    pub async fn change_service(
        &self,
        actor: &Actor,
        id: ClusterId,
        service: ServiceName,
        node: Option<NodeId>,
        verb: ServiceVerb,
    ) -> Result<Accepted, AppError> {
        let attempt = attempt("service.change");
        let mut change = self
            .begin_change(actor, id, ClusterAction::Operate, attempt)
            .await?;
        change.check_not_deleting()?;
        if change.cluster.power == Power::Stopped {
            return Err(AppError::ClusterStopped);
        }
        let label = match node {
            None => "all its nodes".to_owned(),
            Some(wanted) => {
                let nodes = node_list::list(&mut change.tx, actor.tenant, id).await?;
                let found = nodes.into_iter().find(|listed| listed.id == wanted);
                found
                    .map(|n| format!("{}-{}", n.role, n.ordinal))
                    .ok_or(AppError::NotFound(Resource::Node))?
            }
        };
        let mut wishes = change.cluster.service_wishes.clone();
        let did = match verb {
            ServiceVerb::Start => {
                wishes.start(service, node);
                "started"
            }
            ServiceVerb::Stop => {
                wishes.stop(service, node);
                "stopped"
            }
            ServiceVerb::Restart => {
                wishes.restart(service, node);
                "restarted"
            }
        };
        clusters::set_service_wishes(&mut change.tx, actor.tenant, id, &wishes).await?;
        let message = format!("{did} {service} on {label}");
        let asked = json!({"service": service, "verb": verb, "node": label});
        let written = Written {
            kind: OperationKind::Service,
            message: &message,
            attempt: change.attempt,
            change: audit::Change::made(asked),
        };
        self.accept(change.tx, actor, id, written).await
    }
}
