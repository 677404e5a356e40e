//! What a node's machine said while it booted.

use serde::{Deserialize, Serialize};
use updraft_model::NodeId;
use utoipa::ToSchema;

/// `GET /clusters/{id}/nodes/{node}/boot-log`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BootLogView {
    pub node: NodeId,
    /// `worker-2`
    pub label: String,
    /// Plain text, without control characters and secrets; `null` where there is none.
    pub text: Option<String>,
    /// Whether its beginning was left out.
    pub cut: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}
