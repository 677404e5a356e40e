//! Follows control's snapshots and keeps the last one on disk, so that this edge works while control is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use updraft_api::edge::Snapshot;
use updraft_model::EdgeId;

use crate::control::News;
use crate::keep::keep;
use crate::state::State;
use crate::succession::say_ended;

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Of the time, a twentieth is spent on writing the snapshot to disk while there is always something new.
const REST: u32 = 20;
const LONGEST_REST: Duration = Duration::from_secs(10);

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

    /// Keeps what was adopted last, until nothing more comes. A large one is not written with each of many changes.
    async fn keep_up(&self, mut adopted: watch::Receiver<Option<Arc<Snapshot>>>) {
        while adopted.changed().await.is_ok() {
            let Some(snapshot) = adopted.borrow_and_update().clone() else {
                continue;
            };
            let (path, began) = (self.path.clone(), Instant::now());
            let kept = tokio::task::spawn_blocking(move || keep(&path, snapshot.as_ref())).await;
            if let Err(error) = kept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                tracing::error!(%error, "the snapshot could not be kept on disk; a restart without control would not know it");
            }
            let mut others = adopted.clone();
            let end = others.wait_for(|_| false);
            let _ended = timeout((began.elapsed() * REST).min(LONGEST_REST), end).await;
        }
    }
}

/// Polls for ever. The first answer replaces whatever was on disk: control's word is the truth.
/// `before` was here before this edge: control hears of its end as soon as it is there.
pub(crate) async fn follow(
    state: &State,
    file: &SnapshotFile,
    before: Option<EdgeId>,
    shutdown: &CancellationToken,
) {
    let adopted = watch::Sender::new(None);
    let to_keep = adopted.subscribe();
    let polling = async move {
        poll(state, &adopted, before, shutdown).await;
        // Whatever is not on disk yet is written before the end.
        drop(adopted);
    };
    tokio::join!(polling, file.keep_up(to_keep));
}

async fn poll(
    state: &State,
    adopted: &watch::Sender<Option<Arc<Snapshot>>>,
    mut before: Option<EdgeId>,
    shutdown: &CancellationToken,
) {
    let mut known: Option<Arc<Snapshot>> = None;
    let mut pause = RETRY_MIN;
    while !shutdown.is_cancelled() {
        let after = known.as_ref().map_or(0, |known| known.version);
        let keys = state.keys();
        let answer = tokio::select! {
            answer = state.control.snapshot(after, state.tunnels.id(), &keys) => answer,
            () = shutdown.cancelled() => return,
        };
        match answer {
            Ok(news) => {
                state.set_control_reachable(true);
                pause = RETRY_MIN;
                if let Some(news) = news {
                    known = with(known, news);
                    if let Some(snapshot) = &known {
                        adopt(state, snapshot);
                        adopted.send_replace(Some(Arc::clone(snapshot)));
                    }
                }
                if let Some(before) = before.take() {
                    say_ended(state, before).await;
                }
            }
            Err(error) => {
                // Whoever answers next may have been restored from a backup: hear all of it, and at once.
                known = None;
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

/// What is known now. None where a change was made to something else: all of it is to be heard anew.
fn with(known: Option<Arc<Snapshot>>, news: News) -> Option<Arc<Snapshot>> {
    match news {
        News::Whole(snapshot) => Some(Arc::from(snapshot)),
        News::Change(change) => {
            let mut known = known?;
            Arc::make_mut(&mut known).take(*change).then_some(known)
        }
    }
}

fn adopt(state: &State, snapshot: &Snapshot) {
    tracing::info!(
        snapshot.version = snapshot.version,
        routes = snapshot.routes.len(),
        "new snapshot"
    );
    state.adopt(snapshot.clone());
}
