//! An edge's near end in a runtime of its own, so that it can be killed with all that it holds.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use updraft_model::{EdgeId, NodeId};
use updraft_tunnel::{EdgeIdentity, NearEnd, TokenDigest};

use super::{Authority, pace, token};

pub(crate) struct Edge {
    pub(crate) near: Arc<NearEnd>,
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Edge {
    /// Awaits this node by the token `good`.
    pub(crate) async fn start(authority: &Authority, node: NodeId) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), Some(authority.identity()), node).await
    }

    pub(crate) async fn start_at(address: SocketAddr, identity: Option<EdgeIdentity>, node: NodeId) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let near = Arc::new(NearEnd::new(pace()));
        near.await_nodes([(node, vec![TokenDigest::of(&token("good"))])]);
        let listening = {
            let near = Arc::clone(&near);
            runtime.spawn(async move {
                let listener = TcpListener::bind(address).await.unwrap();
                let address = listener.local_addr().unwrap();
                let identity = watch::Sender::new(identity).subscribe();
                tokio::spawn(near.listen(listener, identity, CancellationToken::new()));
                address
            })
        };
        let address = listening.await.unwrap();
        Self {
            near,
            address,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn id(&self) -> EdgeId {
        self.near.id()
    }

    /// Everything it holds ends without a farewell.
    pub(crate) fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
