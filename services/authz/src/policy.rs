//! Rights as data: what control pushes to every edge and the edge keeps on disk.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use updraft_model::{ClusterId, ClusterRole, SessionId, TenantId, TenantRole, TokenId, TokenLimit, UserId};

use crate::visitor::Proof;
use crate::{ApiToken, Credential, TokenHash, Visitor, Why, cluster_role};

/// All an edge needs to decide who may open which Airflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub clusters: HashMap<ClusterId, ClusterPolicy>,
    /// Tenant members: a person missing here was removed, whatever their session says.
    pub members: HashMap<TenantId, HashMap<UserId, TenantRole>>,
    /// Sessions ended before their expiry.
    pub revoked_sessions: HashSet<SessionId>,
    /// API tokens that were not revoked, by the SHA-256 of their text.
    #[serde(default)]
    pub tokens: HashMap<TokenHash, TokenPolicy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPolicy {
    pub tenant: TenantId,
    pub grants: HashMap<UserId, ClusterRole>,
}

/// Whose an API token is, and how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPolicy {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user: UserId,
    pub limit: TokenLimit,
    /// Unix seconds; `None`: until revoked.
    pub expires_at: Option<i64>,
    pub email: String,
    pub name: String,
}

// === impl Policy ===

impl Policy {
    /// The role this visitor has on this cluster now; `None` means: treat the cluster as if it did not exist.
    #[must_use]
    pub fn role_on(&self, visitor: &Visitor, cluster: ClusterId) -> Option<(ClusterRole, Why)> {
        let credential = self.credential(visitor)?;
        let policy = self
            .clusters
            .get(&cluster)
            .filter(|c| c.tenant == visitor.tenant)?;
        let member = self.members.get(&visitor.tenant)?.get(&visitor.user)?;
        let (role, why) = cluster_role(*member, policy.grants.get(&visitor.user).copied())?;
        Some((credential.cap(role)?, why))
    }

    /// Whether the session or token was not revoked, and its person not removed. Expiry is the visitor's own matter.
    #[must_use]
    pub fn is_live(&self, visitor: &Visitor) -> bool {
        self.credential(visitor).is_some()
            && self
                .members
                .get(&visitor.tenant)
                .is_some_and(|people| people.contains_key(&visitor.user))
    }

    /// Who comes with this API token, if it is one of these.
    #[must_use]
    pub fn visitor(&self, token: &ApiToken) -> Option<Visitor> {
        let hash = token.hash();
        let found = self.tokens.get(&hash)?;
        Some(Visitor {
            user: found.user,
            tenant: found.tenant,
            email: found.email.clone(),
            name: found.name.clone(),
            proof: Proof::Token { id: found.id, hash },
            expires_at: found.expires_at.unwrap_or(i64::MAX),
        })
    }

    /// What the visitor came with, unless it was revoked since.
    fn credential(&self, visitor: &Visitor) -> Option<Credential> {
        match visitor.proof {
            Proof::Session(id) => (!self.revoked_sessions.contains(&id)).then_some(Credential::Session(id)),
            Proof::Token { id, hash } => self.tokens.get(&hash).map(|token| Credential::Token {
                id,
                limit: token.limit,
            }),
        }
    }
}
