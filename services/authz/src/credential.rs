//! What somebody proved who they are with, and how far it reaches.

use updraft_model::{ClusterRole, SessionId, TokenId, TokenLimit};

/// A session reaches as far as its person; a token no further than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Session(SessionId),
    Token { id: TokenId, limit: TokenLimit },
}

// === impl Credential ===

impl Credential {
    /// The session, for what only a person who signed in may do.
    #[must_use]
    pub fn session(self) -> Option<SessionId> {
        match self {
            Self::Session(session) => Some(session),
            Self::Token { .. } => None,
        }
    }

    /// What is left of a role on a cluster when it is exercised with this credential.
    #[must_use]
    pub fn cap(self, role: ClusterRole) -> Option<ClusterRole> {
        match self {
            Self::Session(_) => Some(role),
            Self::Token { limit, .. } => cap(limit, role),
        }
    }

    /// Whether it reaches what belongs to the tenant as a whole.
    #[must_use]
    pub fn acts_for_tenant(self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Token { limit, .. } => limit == TokenLimit::Full,
        }
    }

    /// Whether it reaches the REST API at all.
    #[must_use]
    pub fn opens_rest(self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Token { limit, .. } => limit != TokenLimit::Scim,
        }
    }
}

/// The lesser of a role and a token's limit.
pub(crate) fn cap(limit: TokenLimit, role: ClusterRole) -> Option<ClusterRole> {
    match limit {
        TokenLimit::Full | TokenLimit::Admin => Some(role),
        TokenLimit::User => Some(role.min(ClusterRole::User)),
        TokenLimit::Scim => None,
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::{ClusterRole, TokenLimit};

    use super::Credential;

    const NIL: &str = "00000000-0000-0000-0000-000000000000";

    fn token(limit: TokenLimit) -> Credential {
        Credential::Token {
            id: NIL.parse().unwrap(),
            limit,
        }
    }

    #[test]
    fn a_token_never_reaches_further_than_its_limit_nor_its_owner() {
        use ClusterRole::{Admin, User};
        for (limit, of_admin, of_user) in [
            (TokenLimit::Full, Some(Admin), Some(User)),
            (TokenLimit::Admin, Some(Admin), Some(User)),
            (TokenLimit::User, Some(User), Some(User)),
            (TokenLimit::Scim, None, None),
        ] {
            assert_eq!(token(limit).cap(Admin), of_admin, "{limit:?}");
            assert_eq!(token(limit).cap(User), of_user, "{limit:?}");
        }
    }

    #[test]
    fn only_sessions_and_full_tokens_act_for_the_tenant() {
        let session = Credential::Session(NIL.parse().unwrap());
        assert!(session.acts_for_tenant() && token(TokenLimit::Full).acts_for_tenant());
        for limit in [TokenLimit::Admin, TokenLimit::User, TokenLimit::Scim] {
            assert!(!token(limit).acts_for_tenant(), "{limit:?}");
        }
    }

    #[test]
    fn a_token_is_no_session() {
        assert!(token(TokenLimit::Full).session().is_none());
        assert!(!token(TokenLimit::Scim).opens_rest());
    }
}
