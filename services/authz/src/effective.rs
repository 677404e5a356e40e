//! The role somebody has in the end, and every reason for it.
//!
//! [`effective_role`] says what is right. [`CompiledRules`] says the same of many people and many clusters at once,
//! without reading every rule for each pair.

use std::cmp::Reverse;
use std::collections::HashMap;

use updraft_model::{ClusterId, ClusterRole, RuleId, TenantRole};

use crate::rules::{AccessRule, ClusterFacts, PersonFacts, Target, Who};
use crate::{Why, cluster_role};

/// A role by rule.
type Hit = (ClusterRole, RuleId);

/// What a person may do on a cluster of their own tenant, by the tenant's rules. The highest role wins; of several
/// reasons for it ownership is named first, then what was given by name, then the oldest rule.
#[must_use]
pub fn effective_role(
    person: &PersonFacts,
    cluster: &ClusterFacts,
    granted: Option<ClusterRole>,
    rules: &[AccessRule],
) -> Option<(ClusterRole, Why)> {
    let hits = rules
        .iter()
        .filter(|rule| rule.gives(person, cluster))
        .map(|rule| (rule.role, rule.id));
    decide(person.tenant_role, granted, hits)
}

/// A tenant's rules, by whom they are about.
#[derive(Clone, Debug, Default)]
pub struct CompiledRules {
    groups: HashMap<String, Vec<Effect>>,
    domains: HashMap<String, Vec<Effect>>,
    emails: HashMap<String, Vec<Effect>>,
    everyone: Vec<Effect>,
}

#[derive(Clone, Debug)]
struct Effect {
    hit: Hit,
    target: Target,
}

/// What one person has by rule, by cluster.
#[derive(Clone, Debug)]
pub struct PersonRules {
    tenant_role: TenantRole,
    every_cluster: Option<Hit>,
    clusters: HashMap<ClusterId, Hit>,
    tags: HashMap<String, HashMap<String, Hit>>,
}

// === impl CompiledRules ===

impl CompiledRules {
    #[must_use]
    pub fn new(rules: &[AccessRule]) -> Self {
        let mut compiled = Self::default();
        for rule in rules {
            let effects = match &rule.who {
                Who::Group(name) => compiled.groups.entry(name.clone()).or_default(),
                Who::Domain(domain) => compiled.domains.entry(domain.to_ascii_lowercase()).or_default(),
                Who::Email(email) => compiled.emails.entry(email.to_ascii_lowercase()).or_default(),
                Who::Everyone => &mut compiled.everyone,
            };
            effects.push(Effect {
                hit: (rule.role, rule.id),
                target: rule.target.clone(),
            });
        }
        compiled
    }

    #[must_use]
    pub fn of(&self, person: &PersonFacts) -> PersonRules {
        let mut own = PersonRules {
            tenant_role: person.tenant_role,
            every_cluster: None,
            clusters: HashMap::new(),
            tags: HashMap::new(),
        };
        let by_group = person.groups.iter().filter_map(|name| self.groups.get(name));
        let by_email = person
            .vouched_emails
            .iter()
            .filter_map(|email| self.emails.get(&email.to_ascii_lowercase()));
        let by_domain = person
            .vouched_domains()
            .filter_map(|domain| self.domains.get(&domain.to_ascii_lowercase()));
        let by_being_here = (!person.is_service).then_some(&self.everyone);
        let all = by_group.chain(by_email).chain(by_domain).chain(by_being_here);
        all.flatten().for_each(|effect| own.take(effect));
        own
    }
}

// === impl PersonRules ===

impl PersonRules {
    /// As [`effective_role`].
    #[must_use]
    pub fn role_on(
        &self,
        cluster: &ClusterFacts,
        granted: Option<ClusterRole>,
    ) -> Option<(ClusterRole, Why)> {
        let by_tag = cluster
            .tags
            .iter()
            .filter_map(|(key, value)| self.tags.get(key)?.get(value));
        let hits = self.every_cluster.iter().chain(self.clusters.get(&cluster.id));
        decide(self.tenant_role, granted, hits.chain(by_tag).copied())
    }

    fn take(&mut self, effect: &Effect) {
        let held = match &effect.target {
            Target::EveryCluster => {
                self.every_cluster = best([self.every_cluster, Some(effect.hit)].into_iter().flatten());
                return;
            }
            Target::Cluster(id) => self.clusters.entry(*id).or_insert(effect.hit),
            Target::Tag(tag) => {
                let values = self.tags.entry(tag.key.clone()).or_default();
                values.entry(tag.value.clone()).or_insert(effect.hit)
            }
        };
        *held = best([*held, effect.hit].into_iter()).unwrap_or(effect.hit);
    }
}

/// The highest role; of several rules that give it the oldest, whose id sorts first.
fn best(hits: impl Iterator<Item = Hit>) -> Option<Hit> {
    hits.max_by_key(|(role, rule)| (*role, Reverse(*rule)))
}

fn decide(
    tenant_role: TenantRole,
    granted: Option<ClusterRole>,
    hits: impl Iterator<Item = Hit>,
) -> Option<(ClusterRole, Why)> {
    let by_name = cluster_role(tenant_role, granted);
    match (by_name, best(hits)) {
        (Some((role, _)), Some((higher, rule))) if higher > role => Some((higher, Why::Rule(rule))),
        (Some(by_name), _) => Some(by_name),
        (None, Some((role, rule))) => Some((role, Why::Rule(rule))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
