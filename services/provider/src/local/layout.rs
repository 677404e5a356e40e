//! What lies where, and the record of each node. A node's directory appears and disappears as a whole.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use updraft_model::{ClusterId, NodeId};

use super::process::{ProcessId, boot_id};
use crate::NodeWanted;

/// Where nodes are kept: everything below `<data>/nodes`.
#[derive(Clone, Debug)]
pub struct LocalLayout {
    root: PathBuf,
}

/// What the provider keeps of a node, in its directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    pub(super) wanted: NodeWanted,
    /// The exact request, to be compared when its token comes again.
    pub(super) request: Value,
    pub(super) address: Ipv4Addr,
    pub(super) service_user: Option<String>,
    #[serde(default)]
    pub(super) service_uid: Option<u32>,
    #[serde(default)]
    pub(super) builder_user: Option<String>,
    #[serde(default)]
    pub(super) builder_uid: Option<u32>,
}

/// The agent last started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AgentRecord {
    pub(super) process: ProcessId,
    /// Of the kernel that ran it: pids mean nothing to another.
    pub(super) boot: String,
}

const RECORD: &str = "provider.json";
const AGENT: &str = "agent.json";
const BOOTSTRAP: &str = "bootstrap.json";
const STOP: &str = "stop";
pub(super) const ENDING: &str = "ending";
const AGENT_LOG: &str = "agent.log";
/// What is kept of a node that is gone: its logs, and what it takes to ship them.
pub(super) const REMAINS: [&str; 6] = ["logs", "agent", AGENT_LOG, BOOTSTRAP, RECORD, ENDING];

// === impl LocalLayout ===

impl LocalLayout {
    #[must_use]
    pub fn below(data_dir: &Path) -> Self {
        Self {
            root: data_dir.join("nodes"),
        }
    }

    /// The node's own directory.
    #[must_use]
    pub fn node_dir(&self, node: NodeId) -> PathBuf {
        self.root.join(node.to_string())
    }

    /// Shared by the nodes of one cluster.
    #[must_use]
    pub fn shared_dir(&self, cluster: ClusterId) -> PathBuf {
        self.root.join(format!("cluster-{cluster}"))
    }

    /// Of the cluster's own environments. It stays when its nodes go, and goes with the cluster.
    #[must_use]
    pub fn environments_dir(&self, cluster: ClusterId) -> PathBuf {
        self.root.join(format!("environments-{cluster}"))
    }

    pub(super) fn addresses(&self) -> PathBuf {
        self.root.join(".addresses.json")
    }

    /// Remembers that the node was ended: its token makes no other.
    pub(super) fn spent(&self, node: NodeId) -> PathBuf {
        self.root.join(".spent").join(node.to_string())
    }

    /// What a node that is gone left, until its logs are in the bucket.
    pub(super) fn remains_dir(&self, node: NodeId) -> PathBuf {
        self.all_remains().join(node.to_string())
    }

    fn all_remains(&self) -> PathBuf {
        self.root.join(".remains")
    }

    pub(super) fn bootstrap(&self, node: NodeId) -> PathBuf {
        bootstrap_in(&self.node_dir(node))
    }

    pub(super) fn agent_log(&self, node: NodeId) -> PathBuf {
        self.node_dir(node).join(AGENT_LOG)
    }

    /// Its presence asks the agent to stop the node's services and end.
    pub(super) fn stop(&self, node: NodeId) -> PathBuf {
        self.node_dir(node).join(STOP)
    }

    /// Its presence says that the node is being ended for ever.
    pub(super) fn ending(&self, node: NodeId) -> PathBuf {
        self.node_dir(node).join(ENDING)
    }

    pub(super) fn ensure(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o711).create(&self.root)?;
        builder.mode(0o700).create(self.root.join(".spent"))?;
        builder.create(self.all_remains())
    }

    /// Every node there is, ending ones too.
    pub(super) fn nodes(&self) -> Vec<(NodeId, NodeRecord)> {
        let nodes = named_in(&self.root).into_iter();
        nodes.filter_map(|id| Some((id, self.record(id)?))).collect()
    }

    /// Nodes that are gone and have left something.
    pub(super) fn remains(&self) -> Vec<NodeId> {
        named_in(&self.all_remains())
    }

    /// Removes what the nodes of a deleted cluster have left.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget_remains(&self, cluster: ClusterId) -> io::Result<()> {
        for node in self.remains() {
            let left = self.remains_dir(node);
            let record: Option<NodeRecord> = read_json(&left.join(RECORD));
            if record.is_none_or(|record| record.wanted.cluster == cluster) {
                remove_tree(&left)?;
            }
        }
        Ok(())
    }

    pub(super) fn record(&self, node: NodeId) -> Option<NodeRecord> {
        read_json(&self.node_dir(node).join(RECORD))
    }

    pub(super) fn agent(&self, node: NodeId) -> Option<AgentRecord> {
        read_json(&self.node_dir(node).join(AGENT))
    }

    /// The process of the agent last started, if this run of the kernel ran it.
    pub(super) fn agent_process(&self, node: NodeId) -> Option<ProcessId> {
        self.agent(node)
            .filter(|agent| agent.boot == boot_id())
            .map(|agent| agent.process)
    }

    pub(super) fn write_agent(&self, node: NodeId, agent: &AgentRecord) -> io::Result<()> {
        write_json(&self.node_dir(node).join(AGENT), agent)
    }

    pub(super) fn write_bootstrap(&self, node: NodeId, bootstrap: &Value) -> io::Result<()> {
        write_json(&self.bootstrap(node), bootstrap)
    }

    /// Makes the node's directory with its first files: all or nothing.
    pub(super) fn create(&self, node: NodeId, record: &NodeRecord, bootstrap: &Value) -> io::Result<()> {
        let draft = self.root.join(format!(".new-{node}"));
        remove_tree(&draft)?;
        DirBuilder::new().mode(0o700).create(&draft)?;
        write_json(&draft.join(BOOTSTRAP), bootstrap)?;
        write_json(&draft.join(RECORD), record)?;
        fs::rename(&draft, self.node_dir(node))
    }

    /// Takes the node's directory away, for its logs to be shipped, and remembers that its token is spent.
    pub(super) fn remove(&self, node: NodeId) -> io::Result<()> {
        write_file(&self.spent(node), b"")?;
        absent_is_fine(fs::rename(self.node_dir(node), self.remains_dir(node)))
    }
}

/// Below a node's directory, or what is left of it.
pub(super) fn bootstrap_in(directory: &Path) -> PathBuf {
    directory.join(BOOTSTRAP)
}

fn named_in(directory: &Path) -> Vec<NodeId> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<NodeId>().ok());
    let mut nodes: Vec<_> = ids.collect();
    nodes.sort();
    nodes
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_file(path, &serde_json::to_vec(value)?)
}

/// Whoever reads it sees the old content or the new, never half.
pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(content)?;
    fs::rename(&draft, path)
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
