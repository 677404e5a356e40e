//! A cluster's nodes.

use updraft_api::rest::NodeView;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::ClusterId;
use updraft_store::node_list;

use crate::{App, AppError, access, view};

impl App {
    /// The cluster's nodes that are not gone: scheduler, web, workers.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn list_nodes(&self, actor: &Actor, id: ClusterId) -> Result<Vec<NodeView>, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        let nodes = node_list::list(&mut connection, actor.tenant, id).await?;
        let has_boot_log = self.boot_logs().0.is_some();
        Ok(nodes
            .into_iter()
            .map(|node| view::node(node, self.live(), has_boot_log))
            .collect())
    }
}
