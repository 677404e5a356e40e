//! Web nodes that edges reach through tunnels which their agents dial: what control tells both ends.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use updraft_authz::TokenHash;
use updraft_model::{EdgeId, NodeId};

use crate::agent::expose;

/// The name in every edge's tunnel certificate.
pub const TUNNEL_SERVER_NAME: &str = "tunnel.updraft.internal";

/// Whom an agent dials, and what it offers there. Kept on the node's disk with the assignment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TunnelAssignment {
    /// `tunnel.example.com:7443`: the edges, or a TCP balancer before them.
    pub address: String,
    pub server_name: String,
    /// What edges' certificates are believed from, PEM: one authority, and while it turns two.
    pub ca_pem: String,
    /// This node's, and good for nothing but its tunnels.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// All that live, as far as control knows.
    pub edges: BTreeSet<EdgeId>,
    /// The one port, on the node's own address, that tunnels lead to.
    pub port: u16,
}

/// The node whose tunnels an edge admits for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelGuest {
    pub node: NodeId,
    /// Of [`TunnelAssignment::token`].
    pub token_sha256: TokenHash,
    /// Of tokens that are as good: while the key that they come of turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others_sha256: Vec<TokenHash>,
}

/// What an edge shows agents.
#[derive(Debug, Serialize, Deserialize)]
pub struct TunnelCertificate {
    pub cert_pem: String,
    #[serde(serialize_with = "expose")]
    pub key_pem: SecretString,
    /// Seconds from now after which it is time for the next one, long before this one expires.
    pub renew_after_s: u64,
    /// The name of the authority that it is under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

// === impl TunnelAssignment ===

impl TunnelAssignment {
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let known = |one: &Self| {
            let Self {
                address,
                server_name,
                ca_pem,
                token,
                edges,
                port,
            } = one.clone();
            (
                address,
                server_name,
                ca_pem,
                token.expose_secret().to_owned(),
                edges,
                port,
            )
        };
        known(self) == known(other)
    }
}
