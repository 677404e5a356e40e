//! What of this machine a cluster's services may reach beside their own: the metadata database that its tenant brings, where the
//! installation opened just that host and port. A destination that is open at every port opens nothing here: the installation's own
//! servers listen on some of them.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::lookup_host;
use tokio::time::timeout;
use updraft_model::{MetadataDatabase, NodeId};
use updraft_provider::local::Openings;
use updraft_sso::outbound::{Destination, OutboundPolicy};
use updraft_store::{Store, StoreError, clusters, nodes};

const LOOK_UP: Duration = Duration::from_secs(3);

pub(super) struct StoredOpenings {
    store: Store,
    policy: OutboundPolicy,
}

// === impl StoredOpenings ===

impl StoredOpenings {
    pub(super) fn new(store: Store, allow: Vec<Destination>) -> Self {
        let policy = OutboundPolicy {
            allow,
            ..OutboundPolicy::default()
        };
        Self { store, policy }
    }

    async fn database(&self, node: NodeId) -> Result<Option<MetadataDatabase>, StoreError> {
        let mut connection = self.store.connection().await?;
        let Some((tenant, cluster, _)) = nodes::owner(&mut connection, node).await? else {
            return Ok(None);
        };
        let spec = clusters::spec(&mut connection, tenant, cluster).await?;
        Ok(spec.and_then(|spec| spec.metadata_database))
    }
}

#[async_trait]
impl Openings for StoredOpenings {
    async fn of(&self, node: NodeId) -> Vec<SocketAddrV4> {
        let database = match self.database(node).await {
            Ok(database) => database,
            Err(error) => {
                tracing::warn!(%error, node.id = %node, "what a cluster may reach of this machine can't be asked");
                None
            }
        };
        let opened = database.filter(|one| self.policy.opens(&one.host, one.port));
        let Some(one) = opened else { return Vec::new() };
        let found = timeout(LOOK_UP, lookup_host((one.host.as_str(), one.port))).await;
        let addresses = found.ok().and_then(Result::ok).into_iter().flatten();
        let v4 = addresses.filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        });
        v4.collect()
    }
}
