//! Logs of nodes that are gone. A node that was killed, or that stopped while the bucket was away, leaves logs in its directory that
//! are nowhere else: they are shipped from there by an agent that does nothing else, again and again for a day at the longest.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use updraft_model::NodeId;

use super::layout::{
    ENDING, LocalLayout, REMAINS, bootstrap_in, read_json, remove_file, remove_tree, write_json,
};
use super::{LocalProvider, agent};

/// As the agent names them.
const IDENTITY: &str = "agent/identity.json";
const ASSIGNMENT: &str = "agent/assignment.json";
const LOOK: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Gigabytes may wait.
const ONE_TRY: Duration = Duration::from_secs(600);
/// A request that the dead agent had under way could be carried out after ours, and put less under the same key.
const SETTLED: Duration = Duration::from_secs(5);
const KEPT_FOR: Duration = Duration::from_secs(86_400);

/// When a node's logs are tried again, and how long is waited after that.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    next: Duration,
}

// === impl LocalProvider ===

impl LocalProvider {
    /// Never ends.
    pub(super) async fn ship_remains(&self) {
        let mut pauses: HashMap<NodeId, Pause> = HashMap::new();
        let mut busy = HashSet::new();
        let mut tries = JoinSet::new();
        loop {
            let remains = self.layout.remains();
            pauses.retain(|node, _| remains.contains(node));
            for node in remains {
                let paused = pauses
                    .get(&node)
                    .is_some_and(|pause| Instant::now() < pause.until);
                let waits = paused || !is_older_than(&self.layout.remains_dir(node), SETTLED);
                if !waits && busy.len() < AT_ONCE && busy.insert(node) {
                    tries.spawn(see_off(self.layout.clone(), self.settings.agent.clone(), node));
                }
            }
            tokio::select! {
                Some(Ok(node)) = tries.join_next() => {
                    busy.remove(&node);
                    let pause = pauses.get(&node).copied().unwrap_or_else(Pause::none).longer();
                    pauses.insert(node, pause);
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

// === impl Pause ===

impl Pause {
    fn none() -> Self {
        Self {
            until: Instant::now(),
            next: FIRST_PAUSE,
        }
    }

    fn longer(self) -> Self {
        Self {
            until: Instant::now() + self.next,
            next: (self.next * 2).min(LONGEST_PAUSE),
        }
    }
}

/// One try; when all is shipped, or it has been tried for long enough, nothing of the node is left.
async fn see_off(layout: LocalLayout, agent: Vec<OsString>, node: NodeId) -> NodeId {
    let left = layout.remains_dir(node);
    let shipped = ship(&left, agent).await;
    let enough = is_older_than(&left, KEPT_FOR);
    match &shipped {
        Ok(true) => tracing::debug!(node.id = %node, "all logs of a node that is gone are shipped"),
        _ if enough => {
            tracing::error!(node.id = %node, "logs of a node that is gone are given up: no bucket took them for a day");
        }
        Ok(false) => tracing::debug!(node.id = %node, "logs of a node that is gone wait for their bucket"),
        Err(error) => {
            tracing::warn!(node.id = %node, %error, "logs of a node that is gone cannot be shipped");
        }
    }
    let over = enough || matches!(shipped, Ok(true));
    if over && let Err(error) = remove(left).await {
        tracing::warn!(node.id = %node, %error, "what a node has left cannot be removed");
    }
    node
}

/// Whether all are in the bucket now.
async fn ship(left: &Path, agent: Vec<OsString>) -> io::Result<bool> {
    let directory = left.to_owned();
    let started = tokio::task::spawn_blocking(move || {
        keep_logs_only(&directory)?;
        forget_secrets(&directory)?;
        point_bootstrap_at(&directory)?;
        io::Result::Ok(directory)
    });
    let mut child = agent::spawn_for_remains(&agent, &started.await??)?;
    match timeout(ONE_TRY, child.wait()).await {
        Ok(ended) => Ok(ended?.success()),
        Err(_) => child.kill().await.map(|()| false),
    }
}

fn keep_logs_only(left: &Path) -> io::Result<()> {
    for entry in fs::read_dir(left)? {
        let entry = entry?;
        if REMAINS.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Of what the node was only where its logs go is needed, and nobody proves with its certificate who it was.
fn forget_secrets(left: &Path) -> io::Result<()> {
    remove_file(&left.join(IDENTITY))?;
    let path = left.join(ASSIGNMENT);
    let Some(mut assignment) = read_json::<Value>(&path) else {
        return Ok(());
    };
    assignment["services"] = Value::Array(Vec::new());
    assignment["files"] = Value::Array(Vec::new());
    for job in ["build", "trial", "script", "reencryption", "tunnel"] {
        assignment[job] = Value::Null;
    }
    write_json(&path, &assignment)
}

/// The directory has another name now.
fn point_bootstrap_at(left: &Path) -> io::Result<()> {
    let path = bootstrap_in(left);
    let mut bootstrap: Value = read_json(&path).ok_or(io::ErrorKind::InvalidData)?;
    bootstrap["node_dir"] = Value::from(left.display().to_string());
    write_json(&path, &bootstrap)
}

fn is_older_than(left: &Path, age: Duration) -> bool {
    let ended = fs::metadata(left.join(ENDING)).and_then(|marker| marker.modified());
    ended.is_ok_and(|ended| {
        SystemTime::now()
            .duration_since(ended)
            .is_ok_and(|since| since > age)
    })
}

async fn remove(left: PathBuf) -> io::Result<()> {
    tokio::task::spawn_blocking(move || remove_tree(&left)).await?
}
