//! API tokens, service accounts and sessions, under `/api/v1`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_model::{SessionId, TokenId, TokenLimit, UserId};
use utoipa::ToSchema;

/// What a request was authenticated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CredentialView {
    Session { id: SessionId },
    Token { id: TokenId, role: TokenLimit },
}

// --- API tokens ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// To recognise it by, 1 to 100 characters.
    pub name: String,
    /// The most that it may do; its owner's own rights bound it too.
    pub role: TokenLimit,
    /// 1 to 365; 90 unless told.
    #[serde(default)]
    pub expires_in_days: Option<u32>,
    /// Good until revoked; for owners of the organisation.
    #[serde(default)]
    pub never_expires: bool,
    /// The service account it is for; for owners of the organisation. Otherwise it is one's own.
    #[serde(default)]
    pub service_account: Option<UserId>,
}

/// `POST /tokens`. The text is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Use it as `Authorization: Bearer`.
    pub text: String,
    pub token: TokenView,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    pub id: TokenId,
    pub name: String,
    pub role: TokenLimit,
    /// Whose it is.
    pub owner: UserId,
    /// The address of its owner, or the name of the service account.
    pub owner_email: String,
    pub service_account: bool,
    /// The last four characters.
    pub hint: String,
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    /// None: until revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub used_at: Option<DateTime<Utc>>,
}

// --- service accounts ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccount {
    /// Lower-case letters, digits and hyphens, 1 to 40, beginning with a letter: `ci-deploy`.
    pub name: String,
}

/// A program. It has no role anywhere until it is given one, as people are; it signs in by API token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceAccountView {
    pub user: UserId,
    pub name: String,
    /// How grants and logs call it.
    pub email: String,
    pub created_at: DateTime<Utc>,
    /// How many of its tokens are good now.
    pub tokens: u32,
}

// --- sessions ---

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    pub id: SessionId,
    /// The one this was asked with.
    pub current: bool,
    /// From where it was begun.
    pub address: Option<String>,
    pub user_agent: Option<String>,
    /// The identity provider that vouched; none: a password.
    pub provider: Option<String>,
    pub created_at: DateTime<Utc>,
    /// To the minute.
    pub used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

/// How many sessions were ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct EndedSessions {
    pub ended: u64,
}
