//! What agents are told of where logs go, and what they say of it: part of the agents' protocol (see [`crate::agent`]). Keys are
//! made as [`crate::log_layout`] says.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::agent::{expose, expose_some};

/// Where the node's logs go. The agent's alone: services get none of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogDelivery {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    /// `logs/`
    pub prefix: String,
    pub access_key: String,
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// Of keys that end by themselves: others come in time.
    #[serde(
        default,
        serialize_with = "expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_token: Option<SecretString>,
    /// A bucket of the tenant's own: reached as judged, with what the installation opens.
    #[serde(default)]
    pub foreign: bool,
    /// Destinations beyond the public internet that the installation opens.
    #[serde(default)]
    pub outbound_allow: Vec<String>,
    /// How the node is called in keys: [`crate::log_layout::LogFile::node`].
    pub node_name: String,
    /// Bytes that logs may take on the node's disk. What is in the bucket is removed first; then the oldest is given up.
    pub disk_bytes: u64,
}

/// How it stands with a node's logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// Written to the bucket since the agent began, before compression.
    pub shipped_bytes: u64,
    /// On the node alone.
    pub waiting_bytes: u64,
    /// Age of the oldest byte that is on the node alone, in seconds.
    pub lag_s: u64,
    /// Given up since the agent began: the bucket was away for longer than the disk could hold.
    pub dropped_bytes: u64,
}
