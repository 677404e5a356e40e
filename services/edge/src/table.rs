//! A snapshot, indexed for requests.

use std::collections::{HashMap, HashSet};

use updraft_api::edge::{Route, Snapshot};
use updraft_authz::{Policy, PublicKey, SigningKey};
use updraft_model::ClusterId;

/// What one request needs of a snapshot. Immutable; a new snapshot makes a new table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// `None` until the first snapshot.
    pub(crate) version: Option<i64>,
    /// Counts the tables of this process: what was decided by another one is to be looked at again.
    pub(crate) change: u64,
    pub(crate) policy: Policy,
    pub(crate) airflow_key: Option<SigningKey>,
    pub(crate) session_keys: Vec<PublicKey>,
    /// Without a trailing slash.
    pub(crate) console_url: String,
    /// That the certificate for tunnels is to be under.
    pub(crate) tunnel_authority: Option<String>,
    /// Names of the keys that admitted tokens come of.
    pub(crate) tunnel_tokens: Vec<String>,
    routes: HashMap<ClusterId, Route>,
    hosts: HashSet<String>,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(snapshot: Snapshot, change: u64) -> Self {
        Self {
            version: Some(snapshot.version),
            change,
            policy: snapshot.policy,
            airflow_key: Some(snapshot.airflow_key),
            session_keys: snapshot.session_keys,
            console_url: snapshot.console_url.trim_end_matches('/').to_owned(),
            hosts: snapshot.routes.iter().map(|r| r.host.clone()).collect(),
            tunnel_authority: snapshot.tunnel_authority,
            tunnel_tokens: snapshot.tunnel_tokens,
            routes: snapshot.routes.into_iter().map(|r| (r.cluster, r)).collect(),
        }
    }

    /// The cluster's route, if `host` is the one it lives on.
    pub(crate) fn route(&self, host: &str, cluster: ClusterId) -> Option<&Route> {
        self.routes.get(&cluster).filter(|route| route.host == host)
    }

    pub(crate) fn knows_host(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(String::as_str)
    }
}
