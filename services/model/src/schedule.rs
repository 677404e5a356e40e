//! When a cluster is to be started and stopped by itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Times of starts and stops. Without either, people alone start and stop the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// A cron expression of five fields: `0 7 * * 1-5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Of both, by its IANA name: `Europe/Berlin`.
    pub time_zone: String,
}

// === impl Schedule ===

impl Schedule {
    /// Whether it never does anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start.is_none() && self.stop.is_none()
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            start: None,
            stop: None,
            time_zone: "UTC".to_owned(),
        }
    }
}
