//! Follows control's snapshots and keeps the last one on disk, so that this edge works while control is gone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use updraft_api::edge::Snapshot;

use crate::keep::keep;
use crate::state::State;

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The snapshot's place on disk.
pub(crate) struct SnapshotFile {
    path: PathBuf,
}

// === impl SnapshotFile ===

impl SnapshotFile {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("snapshot.json"),
        }
    }

    /// The kept snapshot; a missing or damaged one is as good as none.
    pub(crate) fn load(&self) -> Option<Snapshot> {
        let text = std::fs::read(&self.path).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(%error, "the kept snapshot cannot be read and is ignored"))
            .ok()
    }

    pub(crate) fn store(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        keep(&self.path, snapshot)
    }
}

/// Polls for ever. The first answer replaces whatever was on disk: control's word is the truth.
pub(crate) async fn follow(state: &State, file: &SnapshotFile, shutdown: &CancellationToken) {
    let mut after = 0;
    let mut pause = RETRY_MIN;
    while !shutdown.is_cancelled() {
        let answer = tokio::select! {
            answer = state.control.snapshot(after, state.tunnels.id()) => answer,
            () = shutdown.cancelled() => return,
        };
        match answer {
            Ok(news) => {
                state.set_control_reachable(true);
                pause = RETRY_MIN;
                if let Some(snapshot) = news {
                    after = snapshot.version;
                    adopt(state, file, snapshot);
                }
            }
            Err(error) => {
                // Whoever answers next may have been restored from a backup: hear all of it, and at once.
                after = 0;
                if state.set_control_reachable(false) {
                    tracing::warn!(%error, "control is gone; going on with what is known");
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shutdown.cancelled() => return,
                }
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}

fn adopt(state: &State, file: &SnapshotFile, snapshot: Snapshot) {
    tracing::info!(
        snapshot.version = snapshot.version,
        routes = snapshot.routes.len(),
        "new snapshot"
    );
    if let Err(error) = file.store(&snapshot) {
        tracing::error!(%error, "the snapshot could not be kept on disk; a restart without control would not know it");
    }
    state.adopt(snapshot);
}
