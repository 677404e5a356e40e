//! What edges and control say to each other, over the internal listener under `/edge/v1`.
//!
//! `GET /edge/v1/snapshot?after=<version>&edge=<id>&changes=true` is a long poll (25 s) for the whole [`Snapshot`] (200), which
//! the edge keeps on disk (0600) and works from while control is gone, or where control still knows the version that the
//! edge has and the edge asks for changes, for what became of it since, a [`SnapshotChange`] (206). `POST /edge/v1/handover` redeems a hand-over code, `POST
//! /edge/v1/token-uses` tells which API tokens were used, `POST /edge/v1/cluster-uses` which clusters, `POST /edge/v1/refusals` what was refused
//! ([`crate::edge_refusals`]), `POST /edge/v1/tunnel-certificate` asks for a [`crate::tunnel::TunnelCertificate`]. `DELETE
//! /edge/v1/edges/<id>` says that an edge has ended: itself, or the one before it in the same place. All carry `Authorization: Bearer <edge token>`.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use updraft_authz::{ClusterPolicy, Policy, PublicKey, SigningKey, TokenHash, TokenPolicy};
use updraft_model::{
    ClusterId, ClusterName, Failure, NodeId, SessionId, TenantId, TenantRole, TokenId, UserId,
};

use crate::tunnel::TunnelGuest;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub version: i64,
    pub routes: Vec<Route>,
    pub policy: Policy,
    /// Signs what the edge tells Airflow.
    pub airflow_key: SigningKey,
    /// Verify session cookies.
    pub session_keys: Vec<PublicKey>,
    /// `http://localhost:7700`
    pub console_url: String,
    /// Under which authority an edge's certificate for tunnels is to be; it asks for another one if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel_authority: Option<String>,
    /// Names of the keys that the tokens of all [`Route::tunnel`] come of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnel_tokens: Vec<String>,
}

/// What is another in the snapshot of `version` than in the one of `before`. Parts come whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotChange {
    pub before: i64,
    pub version: i64,
    pub routes: Vec<Route>,
    pub policies: HashMap<ClusterId, ClusterPolicy>,
    /// Clusters that are no more.
    pub gone: Vec<ClusterId>,
    /// All members of these tenants; of one that is no more, nobody.
    pub members: HashMap<TenantId, HashMap<UserId, TenantRole>>,
    /// All tokens of the same tenants.
    pub tokens: HashMap<TokenHash, TokenPolicy>,
    pub revoked_sessions: Vec<SessionId>,
    /// Sessions that would have expired by now.
    pub over_sessions: Vec<SessionId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub cluster: ClusterId,
    pub tenant: TenantId,
    pub name: ClusterName,
    /// The authority people use: `127.0.0.1:7701`. A request for the cluster under any other is not found.
    pub host: String,
    /// Names the static assets.
    pub runtime: String,
    pub state: RouteState,
    /// Whose tunnels are admitted. There before the cluster is up, so that the tunnels are too.
    #[serde(default)]
    pub tunnel: Option<TunnelGuest>,
    /// Whether control wants to know when it was used.
    #[serde(default)]
    pub tells_uses: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RouteState {
    Up { upstream: Upstream },
    Starting { waiting_for: Option<String> },
    Stopped,
    Stopping,
    Failed { reason: Failure },
}

/// How a cluster's Airflow is reached. Never from a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Upstream {
    /// `127.65.0.3:8080`, as the provider gave it.
    Direct(SocketAddr),
    /// Through the tunnels of this node.
    Tunnel { node: NodeId },
}

/// Redeems a hand-over code: single use, 60 s, bound to browser and host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RedeemHandover {
    pub code: String,
    /// The authority the browser came to.
    pub host: String,
    /// What the edge put into the browser's binding cookie; control compares its SHA-256.
    pub binding: String,
    /// For the audit log.
    #[serde(default)]
    pub from: BrowserOrigin,
}

/// Where a browser is, as the edge saw it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BrowserOrigin {
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// What the edge calls the request.
    pub request_id: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct HandoverRedeemed {
    /// The session token, for the edge's cookie.
    pub session_token: String,
    /// Unix seconds.
    pub expires_at: i64,
}

/// API tokens that were used at an edge since it last said so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenUses {
    pub uses: Vec<TokenUse>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TokenUse {
    pub token: TokenId,
    /// Unix seconds of the last one.
    pub at: i64,
}

/// Clusters that were used at an edge since it last said so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterUses {
    pub uses: Vec<ClusterUse>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ClusterUse {
    pub cluster: ClusterId,
    /// Unix seconds of the last one.
    pub at: i64,
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether the change was made to this very snapshot; if not, nothing happens to it.
    #[must_use]
    pub fn take(&mut self, change: SnapshotChange) -> bool {
        if change.before != self.version {
            return false;
        }
        self.version = change.version;
        let replaced: HashSet<_> = change.routes.iter().map(|route| route.cluster).collect();
        let gone: HashSet<_> = change.gone.into_iter().collect();
        self.routes
            .retain(|route| !replaced.contains(&route.cluster) && !gone.contains(&route.cluster));
        self.routes.extend(change.routes);
        let policy = &mut self.policy;
        policy.clusters.retain(|cluster, _| !gone.contains(cluster));
        policy.clusters.extend(change.policies);
        if !change.members.is_empty() {
            let is_kept = |token: &TokenPolicy| !change.members.contains_key(&token.tenant);
            policy.tokens.retain(|_, token| is_kept(token));
        }
        policy.tokens.extend(change.tokens);
        policy.members.extend(change.members);
        policy.members.retain(|_, people| !people.is_empty());
        policy.revoked_sessions.extend(change.revoked_sessions);
        for session in &change.over_sessions {
            policy.revoked_sessions.remove(session);
        }
        true
    }
}

// === impl Upstream ===

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self::Direct(address)
    }
}
