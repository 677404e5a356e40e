//! What EC2 answers, as far as it is read here.

use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use updraft_model::{ClusterId, NodeId};
use updraft_provider::{ListedNode, NodeStatus, ProviderId};
use uuid::Uuid;

use crate::request;

/// `<xSet><item>…</item></xSet>`
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Set<T> {
    #[serde(rename = "item", default = "Vec::new")]
    pub(crate) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reservation {
    pub(crate) instances_set: Set<Instance>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reservations {
    #[serde(default)]
    pub(crate) reservation_set: Set<Reservation>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Instance {
    pub(crate) instance_id: String,
    pub(crate) instance_state: State,
    /// None once it has ended.
    pub(crate) private_ip_address: Option<IpAddr>,
    /// Of its last change of state, where EC2 says.
    pub(crate) state_reason: Option<StateReason>,
    #[serde(default)]
    tag_set: Set<Tag>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct State {
    pub(crate) name: StateName,
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StateReason {
    /// `Client.VolumeLimitExceeded`
    pub(crate) code: String,
    /// `Client.VolumeLimitExceeded: The limit on the number of EBS volumes was exceeded`
    pub(crate) message: String,
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StateName {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// An answer of which nothing is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {}

/// One page of an answer.
pub(crate) trait Page: DeserializeOwned {
    /// Empty, as none: it is the last.
    fn take_next(&mut self) -> Option<String>;
}

// === impl Set ===

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl Set<Tag> {
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        let found = self.items.iter().find(|tag| tag.key == key);
        found.map(|tag| tag.value.as_str())
    }
}

// === impl Reservations ===

impl Page for Reservations {
    fn take_next(&mut self) -> Option<String> {
        self.next_token.take()
    }
}

impl Reservations {
    pub(crate) fn into_instances(self) -> impl Iterator<Item = Instance> {
        let reservations = self.reservation_set.items.into_iter();
        reservations.flat_map(|reservation| reservation.instances_set.items)
    }
}

// === impl Instance ===

impl Instance {
    pub(crate) fn id(&self) -> ProviderId {
        ProviderId(self.instance_id.clone())
    }

    /// None: its tags are not those of a node.
    pub(crate) fn listed(&self) -> Option<ListedNode> {
        Some(ListedNode {
            id: self.id(),
            cluster: ClusterId(self.tag(request::CLUSTER)?.parse().ok()?),
            node: NodeId(Uuid::parse_str(self.tag(request::NODE)?).ok()?),
            address: self.private_ip_address?,
            status: self.instance_state.name.status(),
        })
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tag_set.tag(key)
    }
}

// === impl StateName ===

impl StateName {
    /// Or is about to.
    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }

    pub(crate) fn status(self) -> NodeStatus {
        match self {
            Self::Pending => NodeStatus::Pending,
            // Until it stands still, it works.
            Self::Running | Self::Stopping => NodeStatus::Running,
            Self::Stopped => NodeStatus::Stopped,
            Self::ShuttingDown => NodeStatus::Ending,
            Self::Terminated => NodeStatus::Gone,
        }
    }
}
