//! What a picture is made of, and what it is told.

use std::collections::BTreeSet;

use serde::Serialize;
use updraft_api::edge::Route;
use updraft_authz::{ClusterFacts, ClusterPolicy, PublicKey, SigningKey};
use updraft_model::{ClusterId, SessionId, TenantId};

use crate::edges::effective::{Named, Rights};

/// What does not come from the database.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(in crate::edges) struct Constants {
    pub(in crate::edges) airflow_key: SigningKey,
    pub(in crate::edges) session_keys: Vec<PublicKey>,
    pub(in crate::edges) console_url: String,
    pub(in crate::edges) tunnel_authority: Option<String>,
    pub(in crate::edges) tunnel_tokens: Vec<String>,
}

/// What was read: everything, or only what changed.
pub(in crate::edges) struct News {
    pub(in crate::edges) constants: Constants,
    /// Whether what is not in here is no more.
    pub(in crate::edges) is_whole: bool,
    pub(in crate::edges) rights: Vec<(TenantId, Rights)>,
    pub(in crate::edges) clusters: Vec<Cluster>,
    /// Clusters that changed by ending.
    pub(in crate::edges) gone: Vec<ClusterId>,
    pub(in crate::edges) revoked: Vec<SessionId>,
}

#[derive(Clone)]
pub(in crate::edges) struct Cluster {
    pub(in crate::edges) facts: ClusterFacts,
    pub(in crate::edges) route: Route,
    pub(in crate::edges) named: Named,
}

pub(super) struct ClusterPart {
    pub(super) read: Cluster,
    pub(super) policy: ClusterPolicy,
    pub(super) digest: u64,
}

pub(super) struct TenantPart {
    pub(super) rights: Rights,
    pub(super) digest: u64,
}

/// From one version to the next.
#[derive(Default)]
pub(super) struct Step {
    pub(super) before: i64,
    pub(super) clusters: BTreeSet<ClusterId>,
    pub(super) tenants: BTreeSet<TenantId>,
    pub(super) sessions: BTreeSet<SessionId>,
}
