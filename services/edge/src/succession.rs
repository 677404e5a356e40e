//! Which edge was here before. Each process is an edge of its own; control waits for one that fell silent, which may still serve
//! somebody, but for none that is said to have ended.

use std::path::Path;

use updraft_model::EdgeId;

use crate::keep::keep;
use crate::state::State;

const FILE: &str = "edge-id.json";

/// Notes that this edge is here from now on; the one before it ended, however it did: two never share a directory.
pub(crate) fn succeed(state_dir: &Path, own: EdgeId) -> Option<EdgeId> {
    let path = state_dir.join(FILE);
    let before = std::fs::read(&path).ok();
    let before = before.and_then(|text| serde_json::from_slice(&text).ok());
    if let Err(error) = keep(&path, &own) {
        tracing::warn!(%error, "which edge this is could not be kept on disk: its successor will not know");
    }
    before
}

/// Once; control forgets it by itself an hour later.
pub(crate) async fn say_ended(state: &State, edge: EdgeId) {
    if let Err(error) = state.control.report_ended(edge).await {
        tracing::debug!(%error, edge.id = %edge, "control does not know that an edge has ended");
    }
}
