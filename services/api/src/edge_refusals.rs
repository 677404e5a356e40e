//! `POST /edge/v1/refusals`: what an edge refused, for the audit log. Requests that are alike come as one, so that a
//! flood of them costs neither side much. Control looks up who and whose all of it is: an edge only names what a request
//! showed and what it proved.

use serde::{Deserialize, Serialize};
use updraft_authz::TokenHash;
use updraft_model::{ClusterId, SessionId};

use crate::edge::BrowserOrigin;

/// The most that are told at once.
pub const REFUSALS_AT_ONCE: usize = 256;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Refusals {
    pub refusals: Vec<Refused>,
    /// How many more requests were refused since then than this edge had room to remember.
    pub dropped: u64,
}

/// Requests that were refused alike.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    pub why: RefusedFor,
    /// The number in the path; whether there is such a cluster is another matter.
    pub cluster: Option<ClusterId>,
    pub with: Presented,
    /// Of the first one.
    pub from: BrowserOrigin,
    pub times: u32,
    /// Unix seconds.
    pub first: i64,
    /// Unix seconds.
    pub last: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedFor {
    /// Neither session nor token: nothing that was ever given out.
    Forged,
    SessionExpired,
    /// A session that was handed to another host.
    SessionElsewhere,
    /// Signed out, revoked, or its person is gone.
    SessionEnded,
    /// An API token that opens nothing: never given, revoked, expired, or its owner is gone.
    Token,
    /// Known, and without a role on this cluster.
    NoRole,
    /// A page of another site made a browser ask.
    CrossSite,
    /// A hand-over code in a browser that it was not made for.
    HandoverElsewhere,
}

/// What a request showed. Sessions are named only once their signature was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presented {
    Nothing,
    Session(SessionId),
    /// SHA-256 of what may be an API token.
    Token(TokenHash),
}

// === impl RefusedFor ===

impl RefusedFor {
    /// The audit log's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Forged => "credential-forged",
            Self::SessionExpired => "session-expired",
            Self::SessionElsewhere => "session-of-another-host",
            Self::SessionEnded => "session-ended",
            Self::Token => "token-unknown",
            Self::NoRole => "no-role",
            Self::CrossSite => "cross-site",
            Self::HandoverElsewhere => "handover-refused",
        }
    }
}
