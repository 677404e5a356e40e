//! What agents say between transitions: measurements, and that they are still there.

use std::fmt::Debug;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use updraft_api::agent::Report;
use updraft_model::NodeId;

/// The latest report of each node, held in memory by the process that agents report to. A process that holds none
/// shows what is stored: the last transition.
pub trait LiveReports: Send + Sync {
    /// When the node last reported to this process, and what.
    fn latest(&self, node: NodeId) -> Option<(DateTime<Utc>, Arc<Report>)>;
}

/// Debug without what is in it.
#[derive(Clone)]
pub(crate) struct Live(pub(crate) Arc<dyn LiveReports>);

/// For a process that no agent reports to.
pub(crate) struct NoReports;

impl LiveReports for NoReports {
    fn latest(&self, _: NodeId) -> Option<(DateTime<Utc>, Arc<Report>)> {
        None
    }
}

impl Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Live").finish_non_exhaustive()
    }
}
