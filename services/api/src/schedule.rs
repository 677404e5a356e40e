//! What happens to a cluster next by itself.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The next times; none that never comes, or that the schedule does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcomingView {
    pub start: Option<DateTime<Utc>>,
    pub stop: Option<DateTime<Utc>>,
    /// When it stops for being idle, unless it is used or runs something before: there as soon as people were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_stop: Option<DateTime<Utc>>,
}
