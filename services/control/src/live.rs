//! What agents last said to this process, for those who look at nodes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use updraft_api::agent::Report;
use updraft_app::LiveReports;
use updraft_model::NodeId;

use crate::reconciler::Liveness;

impl LiveReports for Liveness {
    fn latest(&self, node: NodeId) -> Option<(DateTime<Utc>, Arc<Report>)> {
        Self::latest(self, node)
    }
}
