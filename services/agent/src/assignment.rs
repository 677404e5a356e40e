//! What the node is to be: taken from control, refused when older, kept on disk, never forgotten.

use std::time::Duration;

use thiserror::Error as ThisError;
use tokio::sync::mpsc;
use updraft_api::agent::Assignment;
use updraft_model::{Generation, NodeId};

use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::layout::{ASSIGNMENT, Layout};
use crate::place::Ownership;

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Why an assignment is not taken.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum Refusal {
    #[error("it is for node {0}")]
    OtherNode(NodeId),
    #[error("it is for another cluster")]
    OtherCluster,
    #[error("its generation {given} is older than {current}")]
    OlderGeneration { given: Generation, current: Generation },
    #[error("its version {given} is not newer than {current}")]
    OlderVersion { given: i64, current: i64 },
}

/// Whether `offered` may replace `current`. Pure.
///
/// # Errors
/// With the reason why not.
pub fn accept(node: NodeId, current: Option<&Assignment>, offered: &Assignment) -> Result<(), Refusal> {
    if offered.node != node {
        return Err(Refusal::OtherNode(offered.node));
    }
    let Some(current) = current else { return Ok(()) };
    if offered.cluster != current.cluster {
        return Err(Refusal::OtherCluster);
    }
    if offered.generation < current.generation {
        return Err(Refusal::OlderGeneration {
            given: offered.generation,
            current: current.generation,
        });
    }
    if offered.version <= current.version {
        return Err(Refusal::OlderVersion {
            given: offered.version,
            current: current.version,
        });
    }
    Ok(())
}

/// The assignment this node last took.
///
/// # Errors
/// When it is there and can't be read.
pub fn load(layout: &Layout) -> Result<Option<Assignment>> {
    let Some(bytes) = layout.place().read(ASSIGNMENT)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Format {
            path: layout.path(ASSIGNMENT),
            source,
        })
}

/// # Errors
/// When the disk refuses.
pub fn save(layout: &Layout, assignment: &Assignment) -> Result<()> {
    let bytes = serde_json::to_vec(assignment).map_err(|source| Error::Format {
        path: layout.path(ASSIGNMENT),
        source,
    })?;
    layout.place().write(ASSIGNMENT, &bytes, 0o600, Ownership::Agent)
}

/// Polls for ever; each acceptable assignment goes to `taken`. Ends when nobody listens.
pub async fn follow(
    client: ControlClient,
    node: NodeId,
    mut current: Option<Assignment>,
    taken: mpsc::Sender<Assignment>,
) {
    let mut pause = FIRST_RETRY;
    loop {
        let after = current.as_ref().map_or(0, |assignment| assignment.version);
        match client.assignment(after).await {
            Ok(None) => pause = FIRST_RETRY,
            Ok(Some(offered)) => match accept(node, current.as_ref(), &offered) {
                Ok(()) => {
                    pause = FIRST_RETRY;
                    current = Some(offered.clone());
                    if taken.send(offered).await.is_err() {
                        return;
                    }
                    continue;
                }
                Err(refusal) => {
                    tracing::warn!(
                        assignment.version = offered.version,
                        "An assignment is refused: {refusal}"
                    );
                    wait(&mut pause).await;
                }
            },
            Err(error) => {
                tracing::warn!(
                    error = error.chain(),
                    "Control can't be asked; services stay as they are"
                );
                wait(&mut pause).await;
            }
        }
    }
}

async fn wait(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_RETRY);
}

#[cfg(test)]
mod tests {
    use updraft_api::agent::Assignment;
    use updraft_model::{ClusterId, Generation, NodeId};

    use super::{Refusal, accept};

    fn assignment(version: i64, generation: i64) -> Assignment {
        serde_json::from_value(serde_json::json!({
            "version": version, "cluster": 1, "node": NodeId(Default::default()), "role": "web",
            "generation": generation, "power": "run", "environment_dir": "", "parent": {"env": {}, "directories": [], "files": []}, "services": [],
            "files": [], "relays": [], "dags": { "endpoint": "", "bucket": "", "sources": [],
            "versions_prefix": "", "access_key": "", "secret_key": "", "resolver": false },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_is_newer_is_taken() {
        let node = NodeId(Default::default());
        let current = assignment(5, 3);
        assert_eq!(accept(node, None, &assignment(1, 1)), Ok(()));
        assert_eq!(accept(node, Some(&current), &assignment(6, 3)), Ok(()));
        assert_eq!(
            accept(node, Some(&current), &assignment(6, 2)),
            Err(Refusal::OlderGeneration {
                given: Generation(2),
                current: Generation(3)
            })
        );
        assert_eq!(
            accept(node, Some(&current), &assignment(5, 3)),
            Err(Refusal::OlderVersion { given: 5, current: 5 })
        );
    }

    #[test]
    fn another_clusters_assignment_is_refused() {
        let node = NodeId(Default::default());
        let other = Assignment {
            cluster: ClusterId(2),
            ..assignment(9, 9)
        };
        assert_eq!(
            accept(node, Some(&assignment(1, 1)), &other),
            Err(Refusal::OtherCluster)
        );
    }
}
