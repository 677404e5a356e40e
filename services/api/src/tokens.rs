//! API tokens, service accounts and sessions, under `/api/v1`.

use serde::{Deserialize, Serialize};
use updraft_model::{SessionId, TokenId, TokenLimit};
use utoipa::ToSchema;

/// What a request was authenticated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CredentialView {
    Session { id: SessionId },
    Token { id: TokenId, role: TokenLimit },
}
