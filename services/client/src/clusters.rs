//! Clusters, their nodes and services, and the operations that change them.

use reqwest::Method;
use updraft_api::boot_log::BootLogView;
use updraft_api::rest::{
    Accepted, ClusterView, NewCluster, NodeView, OperationView, ServiceVerb, ServiceView, UpdateCluster,
};
use updraft_model::{ClusterId, Generation, NodeId, OperationId, ServiceName};

use crate::call::{Call, IdempotencyKey};
use crate::{Client, ClientError};

impl Client {
    /// `GET /clusters`, all pages.
    pub async fn clusters(&self) -> Result<Vec<ClusterView>, ClientError> {
        self.all(|cursor| Call::get("clusters").query("cursor", cursor))
            .await
    }

    /// `GET /clusters/{id}`
    pub async fn cluster(&self, id: ClusterId) -> Result<ClusterView, ClientError> {
        self.fetch(Call::get(format!("clusters/{id}"))).await
    }

    /// `POST /clusters`. With a key of the caller's own it may be called again after a crash.
    pub async fn create_cluster(
        &self,
        new: &NewCluster,
        key: IdempotencyKey,
    ) -> Result<Accepted, ClientError> {
        self.fetch(Call::post("clusters").keyed(Some(key.clone())).json(new))
            .await
    }

    /// `PATCH /clusters/{id}`: refused (412) unless the cluster still is at `seen`.
    pub async fn update_cluster(
        &self,
        id: ClusterId,
        seen: Generation,
        change: &UpdateCluster,
    ) -> Result<Accepted, ClientError> {
        self.fetch(
            Call::new(Method::PATCH, format!("clusters/{id}"))
                .if_match(seen)
                .json(change),
        )
        .await
    }

    /// `POST /clusters/{id}/start`
    pub async fn start_cluster(&self, id: ClusterId) -> Result<Accepted, ClientError> {
        self.fetch(Call::post(format!("clusters/{id}/start"))).await
    }

    /// `POST /clusters/{id}/stop`
    pub async fn stop_cluster(&self, id: ClusterId) -> Result<Accepted, ClientError> {
        self.fetch(Call::post(format!("clusters/{id}/stop"))).await
    }

    /// `POST /clusters/{id}/rotate-keys`
    pub async fn rotate_keys(&self, id: ClusterId) -> Result<Accepted, ClientError> {
        self.fetch(Call::post(format!("clusters/{id}/rotate-keys"))).await
    }

    /// `POST /clusters/{id}/restart`
    pub async fn restart_cluster(&self, id: ClusterId) -> Result<Accepted, ClientError> {
        self.fetch(Call::post(format!("clusters/{id}/restart"))).await
    }

    /// `DELETE /clusters/{id}`: its database, DAGs and logs go too.
    pub async fn delete_cluster(&self, id: ClusterId) -> Result<Accepted, ClientError> {
        self.fetch(Call::new(Method::DELETE, format!("clusters/{id}")))
            .await
    }

    /// `GET /clusters/{id}/nodes`
    pub async fn nodes(&self, id: ClusterId) -> Result<Vec<NodeView>, ClientError> {
        self.all(|cursor| Call::get(format!("clusters/{id}/nodes")).query("cursor", cursor))
            .await
    }

    /// `GET /clusters/{id}/nodes/{node}/boot-log`; the node by its label or id.
    pub async fn boot_log(&self, id: ClusterId, node: &str) -> Result<BootLogView, ClientError> {
        let node: String = url::form_urlencoded::byte_serialize(node.as_bytes()).collect();
        self.fetch(Call::get(format!("clusters/{id}/nodes/{node}/boot-log")))
            .await
    }

    /// `GET /clusters/{id}/services`
    pub async fn services(&self, id: ClusterId) -> Result<Vec<ServiceView>, ClientError> {
        self.all(|cursor| Call::get(format!("clusters/{id}/services")).query("cursor", cursor))
            .await
    }

    /// `POST /clusters/{id}/services/{service}/{start|stop|restart}`, on one node or on all that have it.
    pub async fn change_service(
        &self,
        id: ClusterId,
        service: ServiceName,
        verb: ServiceVerb,
        node: Option<NodeId>,
    ) -> Result<Accepted, ClientError> {
        let verb = match verb {
            ServiceVerb::Start => "start",
            ServiceVerb::Stop => "stop",
            ServiceVerb::Restart => "restart",
        };
        self.fetch(Call::post(format!("clusters/{id}/services/{service}/{verb}")).query("node", node))
            .await
    }

    /// `GET /clusters/{id}/operations`: newest first, all pages.
    pub async fn operations(&self, id: ClusterId) -> Result<Vec<OperationView>, ClientError> {
        self.all(|cursor| Call::get(format!("clusters/{id}/operations")).query("cursor", cursor))
            .await
    }

    /// `GET /operations/{id}`
    pub async fn operation(&self, id: OperationId) -> Result<OperationView, ClientError> {
        self.fetch(Call::get(format!("operations/{id}"))).await
    }
}
