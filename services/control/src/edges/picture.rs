//! What edges route and decide by, part by part: a change replaces the parts it is about, and edges that know what was
//! before are sent these alone. Pure.
//!
//! A version is a sum of digests of all parts: every control process gives the same picture the same number. Digests are
//! keyed with what no tenant knows, so that nobody can make two pictures that add up to the same.

mod parts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use updraft_api::edge::{Snapshot, SnapshotChange};
use updraft_authz::Policy;
use updraft_model::{ClusterId, SessionId, TenantId};

pub(super) use parts::{Cluster, Constants, News};
use parts::{ClusterPart, Step, TenantPart};

use super::effective::Rights;

/// Edges that know less are sent the whole picture.
const STEPS: usize = 512;

/// Cheap to clone.
#[derive(Clone)]
pub struct Picture {
    constants: Constants,
    /// Of all digests: known to control and to edges.
    key: [u8; 32],
    clusters: BTreeMap<ClusterId, Arc<ClusterPart>>,
    tenants: BTreeMap<TenantId, Arc<TenantPart>>,
    revoked: BTreeMap<SessionId, u64>,
    /// Of all digests.
    sum: u64,
    steps: VecDeque<Arc<Step>>,
}

// === impl Picture ===

impl Picture {
    /// Of an installation in which there is nobody and nothing.
    pub(super) fn empty(constants: Constants) -> Self {
        let mut empty = Self {
            key: digest_key(&constants),
            clusters: BTreeMap::new(),
            tenants: BTreeMap::new(),
            revoked: BTreeMap::new(),
            sum: 0,
            steps: VecDeque::new(),
            constants,
        };
        empty.sum = empty.digest("constants", &empty.constants);
        empty
    }

    /// Whether another control process would number its parts alike: one that began with these constants.
    pub(super) fn is_keyed_with(&self, constants: &Constants) -> bool {
        self.key == digest_key(constants)
    }

    #[must_use]
    pub fn version(&self) -> i64 {
        i64::try_from(self.sum >> 1).unwrap_or(i64::MAX)
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let parts = || self.clusters.iter();
        let members = self.tenants.iter().map(|(id, part)| (*id, &part.rights.members));
        let policy = Policy {
            clusters: parts().map(|(id, part)| (*id, part.policy.clone())).collect(),
            members: members
                .filter(|(_, members)| !members.is_empty())
                .map(|(id, members)| (id, members.clone().into_iter().collect()))
                .collect(),
            revoked_sessions: self.revoked.keys().copied().collect(),
            tokens: self
                .tenants
                .values()
                .flat_map(|part| part.rights.tokens.clone())
                .collect(),
        };
        Snapshot {
            version: self.version(),
            routes: parts().map(|(_, part)| part.read.route.clone()).collect(),
            policy,
            airflow_key: self.constants.airflow_key.clone(),
            session_keys: self.constants.session_keys.clone(),
            console_url: self.constants.console_url.clone(),
            tunnel_authority: self.constants.tunnel_authority.clone(),
            tunnel_tokens: self.constants.tunnel_tokens.clone(),
        }
    }

    /// What is another than in that version. None: it is not known any more.
    #[must_use]
    pub fn change_since(&self, version: i64) -> Option<SnapshotChange> {
        let first = self.steps.iter().rposition(|step| step.before == version)?;
        let mut all = Step::default();
        for step in self.steps.iter().skip(first) {
            all.clusters.extend(&step.clusters);
            all.tenants.extend(&step.tenants);
            all.sessions.extend(&step.sessions);
        }
        let part = |id: &ClusterId| self.clusters.get(id);
        let rights = |id: &TenantId| self.tenants.get(id).map(|part| &part.rights);
        let (revoked_sessions, over_sessions) =
            all.sessions.iter().partition(|id| self.revoked.contains_key(*id));
        Some(SnapshotChange {
            before: version,
            version: self.version(),
            routes: all
                .clusters
                .iter()
                .filter_map(|id| Some(part(id)?.read.route.clone()))
                .collect(),
            policies: all
                .clusters
                .iter()
                .filter_map(|id| Some((*id, part(id)?.policy.clone())))
                .collect(),
            gone: all
                .clusters
                .iter()
                .copied()
                .filter(|id| part(id).is_none())
                .collect(),
            members: all
                .tenants
                .iter()
                .map(|id| {
                    (
                        *id,
                        rights(id)
                            .map(|it| it.members.clone().into_iter().collect())
                            .unwrap_or_default(),
                    )
                })
                .collect(),
            tokens: all
                .tenants
                .iter()
                .filter_map(rights)
                .flat_map(|it| it.tokens.clone())
                .collect(),
            revoked_sessions,
            over_sessions,
        })
    }

    /// Takes in what was read; whether edges have to be told anything.
    pub(super) fn take(&mut self, news: News) -> bool {
        let mut step = Step {
            before: self.version(),
            ..Step::default()
        };
        let are_new = self.set_constants(news.constants);
        if news.is_whole {
            self.drop_all_but(&news.rights, &news.clusters, &news.revoked, &mut step);
        }
        let changed: BTreeSet<_> = news.rights.iter().map(|(tenant, _)| *tenant).collect();
        for (tenant, rights) in news.rights {
            self.put_tenant(tenant, rights, &mut step);
        }
        for cluster in news.clusters {
            self.put_cluster(cluster, &mut step);
        }
        for cluster in news.gone {
            self.remove_cluster(cluster, &mut step);
        }
        if !news.is_whole {
            self.decide_anew(&changed, &mut step);
        }
        for session in news.revoked {
            self.put_session(session, &mut step);
        }
        let is_another = step.before != self.version();
        if are_new {
            // Changes don't carry them.
            self.steps.clear();
        } else if is_another {
            self.steps.push_back(Arc::new(step));
            let most = self.steps.len().saturating_sub(STEPS);
            self.steps.drain(..most);
        }
        is_another
    }

    fn set_constants(&mut self, constants: Constants) -> bool {
        if self.constants == constants {
            return false;
        }
        let before = self.digest("constants", &self.constants);
        let after = self.digest("constants", &constants);
        self.constants = constants;
        self.replace(before, after)
    }

    fn drop_all_but(
        &mut self,
        rights: &[(TenantId, Rights)],
        clusters: &[Cluster],
        revoked: &[SessionId],
        step: &mut Step,
    ) {
        let clusters: BTreeSet<_> = clusters.iter().map(|cluster| cluster.facts.id).collect();
        let rights: BTreeSet<_> = rights.iter().map(|(tenant, _)| *tenant).collect();
        let revoked: BTreeSet<_> = revoked.iter().copied().collect();
        for cluster in missing(&self.clusters, &clusters) {
            self.remove_cluster(cluster, step);
        }
        for tenant in missing(&self.tenants, &rights) {
            self.put_tenant(tenant, Rights::default(), step);
            self.tenants.remove(&tenant);
        }
        for session in missing(&self.revoked, &revoked) {
            self.sum = self
                .sum
                .wrapping_sub(self.revoked.remove(&session).unwrap_or_default());
            step.sessions.insert(session);
        }
    }

    fn put_tenant(&mut self, tenant: TenantId, rights: Rights, step: &mut Step) {
        let nobody = rights.members.is_empty() && rights.tokens.is_empty();
        let digest = match nobody {
            true => 0,
            false => self.digest("tenant", &(tenant, &rights.members, &rights.tokens)),
        };
        let before = self
            .tenants
            .insert(tenant, Arc::new(TenantPart { rights, digest }));
        if self.replace(before.map_or(0, |part| part.digest), digest) {
            step.tenants.insert(tenant);
        }
    }

    fn put_cluster(&mut self, read: Cluster, step: &mut Step) {
        let (id, tenant) = (read.facts.id, read.route.tenant);
        let nobody = Rights::default();
        let rights = self.tenants.get(&tenant).map_or(&nobody, |part| &part.rights);
        let policy = rights.on(tenant, &read.facts, &read.named);
        let digest = self.digest("cluster", &(&read.route, &policy));
        let part = ClusterPart { read, policy, digest };
        let before = self.clusters.insert(id, Arc::new(part));
        if self.replace(before.map_or(0, |part| part.digest), digest) {
            step.clusters.insert(id);
        }
    }

    fn remove_cluster(&mut self, id: ClusterId, step: &mut Step) {
        if let Some(part) = self.clusters.remove(&id) {
            self.replace(part.digest, 0);
            step.clusters.insert(id);
        }
    }

    /// Who may do what on these tenants' clusters.
    fn decide_anew(&mut self, tenants: &BTreeSet<TenantId>, step: &mut Step) {
        if tenants.is_empty() {
            return;
        }
        let theirs = self
            .clusters
            .values()
            .filter(|part| tenants.contains(&part.read.route.tenant));
        for part in theirs.cloned().collect::<Vec<_>>() {
            self.put_cluster(part.read.clone(), step);
        }
    }

    fn put_session(&mut self, session: SessionId, step: &mut Step) {
        let digest = self.digest("session", &session);
        let before = self.revoked.insert(session, digest);
        if self.replace(before.unwrap_or_default(), digest) {
            step.sessions.insert(session);
        }
    }

    /// Whether the digest is another.
    fn replace(&mut self, before: u64, after: u64) -> bool {
        self.sum = self.sum.wrapping_sub(before).wrapping_add(after);
        before != after
    }

    /// `serde_json::Value` sorts the keys of its objects.
    fn digest(&self, kind: &str, part: &impl Serialize) -> u64 {
        let part = serde_json::to_value(part).unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(self.key)
            .chain_update(kind)
            .chain_update(part.to_string())
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }
}

fn digest_key(constants: &Constants) -> [u8; 32] {
    let key = serde_json::to_vec(&constants.airflow_key).unwrap_or_default();
    Sha256::digest(key).into()
}

fn missing<K: Copy + Ord, V>(all: &BTreeMap<K, V>, there: &BTreeSet<K>) -> Vec<K> {
    all.keys().copied().filter(|key| !there.contains(key)).collect()
}

#[cfg(test)]
mod tests;
