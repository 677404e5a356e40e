//! Errors as clients see them (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `application/problem+json`: what happened, why, and what to do next; never internal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable, for programs: `urn:updraft:problem:cluster-not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What to do next.
    pub detail: String,
    /// The field that is wrong, as a path: `config.core.parallelism`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// To quote when asking for help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
