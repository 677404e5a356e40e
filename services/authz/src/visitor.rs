//! Who comes to an edge, once their session or token was found to be good.

use updraft_model::{SessionId, TenantId, TokenId, UserId};

use crate::{SessionClaims, TokenHash};

/// It grants nothing by itself: rights come from the [`crate::Policy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub user: UserId,
    pub tenant: TenantId,
    pub email: String,
    pub name: String,
    pub proof: Proof,
    /// Unix seconds.
    pub expires_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Session(SessionId),
    Token { id: TokenId, hash: TokenHash },
}

// === impl Visitor ===

impl From<SessionClaims> for Visitor {
    fn from(claims: SessionClaims) -> Self {
        Self {
            user: claims.sub,
            tenant: claims.tenant,
            email: claims.email,
            name: claims.name,
            proof: Proof::Session(claims.sid),
            expires_at: claims.exp,
        }
    }
}
