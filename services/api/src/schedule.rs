//! What a cluster's schedule does next.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The next times; none that never comes, or that the schedule does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcomingView {
    pub start: Option<DateTime<Utc>>,
    pub stop: Option<DateTime<Utc>>,
}
