//! The end of a sign-in: begun here (RP-initiated) or by the provider (back-channel).

use chrono::{DateTime, Utc};

/// A logout that the provider asks for, verified. At least one of subject and session is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub issuer: String,
    pub subject: Option<String>,
    /// `sid`: only this session of the provider's ends. None: all of the subject's.
    pub session: Option<String>,
    /// `jti`: with the issuer, good once until [`Self::expires_at`].
    pub id: String,
    /// Sessions begun later are not meant: a token that is replayed ends nothing new.
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}
