//! Which agent a node is to run, and which one it runs: part of the agents' protocol (see [`crate::agent`]) since its
//! version 2.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use updraft_model::Protocol;

use crate::agent::expose;

/// The agent that a node is to run. One that runs another fetches it, tries it, and makes way for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAssignment {
    /// SHA-256 of its archive, lower-case hex: nothing else is to be run.
    pub release: String,
    /// Grows when somebody asks again for what had failed.
    pub attempt: i64,
    /// Seconds that the new one has until control has taken a report of it. Then the one before it runs again.
    pub prove_within_s: u32,
}

/// `GET /agent/v1/agent/{release}`: the archive, for a node that was told to run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentOffer {
    /// Good for this one object and an hour or two, for whoever has it.
    #[serde(serialize_with = "expose")]
    pub url: SecretString,
}

// --- upwards, untrusted like every report ---

/// The agent that speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStanding {
    pub protocol: Protocol,
    /// SHA-256 of the archive that it came in; none: it came in none.
    pub release: Option<String>,
    /// What it was told to run and does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedAgent>,
}

/// An agent that was tried, and failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAgent {
    pub release: String,
    pub attempt: i64,
    /// At most 500 characters.
    pub why: String,
}
