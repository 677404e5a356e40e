//! What is said to and heard from a provider.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use updraft_model::{ClusterId, Generation, NodeAccount, NodeId, NodeRole, QueueName, TenantId};

/// A node as control wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWanted {
    pub cluster: ClusterId,
    pub node: NodeId,
    pub role: NodeRole,
    pub ordinal: u32,
    /// A worker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// Instead of what the installation has for its role. Refused where nodes are no machines of a cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Whose it is. None: prepared before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Of the spec that it was wanted by; later ones may keep it. None: as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Of the lease under which it was wanted: whoever holds its cluster later has a higher one. None: as with `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
    /// As its cluster was given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkId>,
}

// === impl NodeWanted ===

impl NodeWanted {
    /// As the installation has nodes of its role, and of nobody's.
    #[must_use]
    pub fn plain(cluster: ClusterId, node: NodeId, role: NodeRole, ordinal: u32) -> Self {
        Self {
            cluster,
            node,
            role,
            ordinal,
            queue: None,
            instance_type: None,
            tenant: None,
            generation: None,
            fence: None,
            network: None,
        }
    }
}

/// A cluster whose nodes are to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterWanted {
    pub cluster: ClusterId,
    pub tenant: TenantId,
    /// Where its agents will look for control.
    pub control_url: String,
    /// What queues' workers are to run on instead of what the installation has for their role.
    pub worker_types: BTreeSet<String>,
}

/// The provider's own name of what a cluster's nodes are connected by: a security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub String);

/// The exact request for one node, as kept in its record and sent again after a crash. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaunchRequest(pub Value);

/// In a [`ProviderId`], after the tenant's account; no provider has it in its own ids.
const BEFORE_NODE: char = '/';

/// Makes a launch idempotent: the same token never makes a second node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientToken(pub String);

/// The provider's own name of a node: an instance id, or locally the node's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderId(pub String);

/// The secret part of a launch: a JSON object with what the agent is started with, less what only the provider knows
/// (`node_dir`, `address`, `service_user`, `shared_dir`). The same bytes for the same node, always; never recorded.
#[derive(Clone, Debug)]
pub struct BootSecret(pub SecretString);

/// The answer to a launch or start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    pub id: ProviderId,
    pub address: IpAddr,
}

/// One of this installation's nodes in the provider's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNode {
    pub id: ProviderId,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub address: IpAddr,
    pub status: NodeStatus,
}

/// A disk that was made with a node and that no machine has any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftVolume {
    pub id: ProviderId,
    pub cluster: ClusterId,
    pub node: NodeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    Pending,
    Running,
    /// It runs, and for some minutes it has failed what its provider itself checks of it: hardware, power, network.
    Impaired,
    /// Stands still and can be started again as the same node.
    Stopped,
    Ending,
    Gone,
    /// The provider knows no such node, or not yet.
    Unknown,
}

// === impl ClientToken ===

impl ClientToken {
    /// The token of a node: a node is launched once, a replacement is another node.
    #[must_use]
    pub fn of(node: NodeId) -> Self {
        Self(format!("updraft-{node}"))
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ProviderId ===

impl ProviderId {
    /// Which account the node is in: a tenant's stands before what that account itself calls the node.
    #[must_use]
    pub fn account(&self) -> NodeAccount {
        let tenant = self.0.split_once(BEFORE_NODE).map(|(account, _)| account);
        NodeAccount::from(tenant.and_then(|account| account.parse().ok()))
    }

    /// What the account itself calls the node.
    #[must_use]
    pub(crate) fn inside(&self) -> Self {
        let inside = self.0.split_once(BEFORE_NODE).map(|(_, inside)| inside);
        Self(inside.unwrap_or(&self.0).to_owned())
    }

    /// The same node as everybody else names it.
    pub(crate) fn within(self, account: NodeAccount) -> Self {
        match account {
            NodeAccount::Installation => self,
            NodeAccount::Tenant(id) => Self(format!("{id}{BEFORE_NODE}{self}")),
        }
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NodeStatus ===

impl NodeStatus {
    /// Whether it runs, well or not.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Impaired)
    }
}
