//! What an API token may at most, whatever its owner may.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most that an API token may do. Its owner's own rights bound it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimit {
    /// All that its owner may, except what takes a signed-in person.
    Full,
    /// Cluster admin at most; nothing of the organisation's own.
    Admin,
    /// Cluster user at most.
    User,
    /// SCIM alone.
    Scim,
}
