//! Rights as data: what control pushes to every edge and the edge keeps on disk.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use updraft_model::{ClusterId, ClusterRole, SessionId, TenantId, TenantRole, UserId};

use crate::{SessionClaims, Why, cluster_role};

/// All an edge needs to decide who may open which Airflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub clusters: HashMap<ClusterId, ClusterPolicy>,
    /// Tenant members: a person missing here was removed, whatever their session says.
    pub members: HashMap<TenantId, HashMap<UserId, TenantRole>>,
    /// Sessions ended before their expiry.
    pub revoked_sessions: HashSet<SessionId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPolicy {
    pub tenant: TenantId,
    pub grants: HashMap<UserId, ClusterRole>,
}

// === impl Policy ===

impl Policy {
    /// The role this session has on this cluster now; `None` means: treat the cluster as if it did not exist.
    #[must_use]
    pub fn role_on(&self, session: &SessionClaims, cluster: ClusterId) -> Option<(ClusterRole, Why)> {
        if !self.is_live(session) {
            return None;
        }
        let policy = self
            .clusters
            .get(&cluster)
            .filter(|c| c.tenant == session.tenant)?;
        let member = self.members.get(&session.tenant)?.get(&session.sub)?;
        cluster_role(*member, policy.grants.get(&session.sub).copied())
    }

    /// Whether the session was neither revoked nor its person removed. Expiry is the token's own matter.
    #[must_use]
    pub fn is_live(&self, session: &SessionClaims) -> bool {
        !self.revoked_sessions.contains(&session.sid)
            && self
                .members
                .get(&session.tenant)
                .is_some_and(|people| people.contains_key(&session.sub))
    }
}
