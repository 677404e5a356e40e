//! What everybody may do on every cluster, worked out here so that edges need neither rules nor groups. Pure.

use std::collections::{BTreeMap, HashMap};

use updraft_authz::{
    AccessRule, ClusterFacts, ClusterPolicy, CompiledRules, PersonRules, TokenHash, TokenPolicy,
};
use updraft_model::{ClusterId, ClusterRole, TenantId, TenantRole, UserId};
use updraft_store::person_facts::KnownPerson;

/// Who is in one tenant, and what they may by its rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    /// Whoever is switched off is none.
    pub(super) members: BTreeMap<UserId, TenantRole>,
    pub(super) tokens: Vec<(TokenHash, TokenPolicy)>,
    /// Of owners nothing: they have their role by being members.
    by_rule: Vec<(UserId, PersonRules)>,
}

/// Who was given a role on a cluster by name.
pub(super) type Named = HashMap<UserId, ClusterRole>;

// === impl Rights ===

impl Rights {
    pub(super) fn new(
        people: &[KnownPerson],
        rules: &[AccessRule],
        tokens: Vec<(TokenHash, TokenPolicy)>,
    ) -> Self {
        let rules = CompiledRules::new(rules);
        let people = people.iter().map(|person| &person.facts);
        let bound = people
            .clone()
            .filter(|facts| facts.tenant_role != TenantRole::Owner);
        Self {
            members: people.map(|facts| (facts.user, facts.tenant_role)).collect(),
            by_rule: bound.map(|facts| (facts.user, rules.of(facts))).collect(),
            tokens,
        }
    }

    /// Whoever has a role on the cluster by name or by rule.
    pub(super) fn on(&self, tenant: TenantId, cluster: &ClusterFacts, named: &Named) -> ClusterPolicy {
        let roles = self.by_rule.iter().filter_map(|(user, rules)| {
            let (role, _) = rules.role_on(cluster, named.get(user).copied())?;
            Some((*user, role))
        });
        ClusterPolicy {
            tenant,
            grants: roles.collect(),
        }
    }
}

/// Cluster by cluster.
pub(super) fn by_cluster(grants: Vec<(ClusterId, UserId, ClusterRole)>) -> HashMap<ClusterId, Named> {
    let mut by_cluster: HashMap<_, Named> = HashMap::new();
    for (cluster, user, role) in grants {
        by_cluster.entry(cluster).or_default().insert(user, role);
    }
    by_cluster
}

#[cfg(test)]
mod tests {
    use updraft_authz::{PersonFacts, Tag, Target, Who};
    use updraft_model::RuleId;
    use uuid::Uuid;

    use super::*;

    const ACME: TenantId = TenantId(Uuid::from_u128(1));

    fn cluster(id: i64, env: &str) -> ClusterFacts {
        ClusterFacts {
            id: ClusterId(id),
            tags: [("env".to_owned(), env.to_owned())].into(),
        }
    }

    fn person(id: u128, tenant_role: TenantRole) -> KnownPerson {
        let facts = PersonFacts::unvouched(UserId(Uuid::from_u128(id)), tenant_role, "ada@example.com");
        KnownPerson {
            tenant: ACME,
            name: "Ada".into(),
            facts: PersonFacts {
                groups: ["data".to_owned()].into(),
                ..facts
            },
        }
    }

    #[test]
    fn rules_never_lower_what_was_granted_and_owners_are_members_alone() {
        let user = |id| UserId(Uuid::from_u128(id));
        let rule = AccessRule {
            id: RuleId(Uuid::nil()),
            who: Who::Group("data".into()),
            role: ClusterRole::User,
            target: Target::Tag(Tag {
                key: "env".into(),
                value: "prod".into(),
            }),
        };
        let people = [person(1, TenantRole::Member), person(2, TenantRole::Owner)];
        let rights = Rights::new(&people, &[rule], Vec::new());
        let admin = by_cluster(vec![(ClusterId(1), user(1), ClusterRole::Admin)]).remove(&ClusterId(1));
        let on = |cluster, named: &Named| rights.on(ACME, &cluster, named).grants;
        assert_eq!(
            on(cluster(1, "prod"), &admin.unwrap()),
            [(user(1), ClusterRole::Admin)].into()
        );
        assert_eq!(
            on(cluster(2, "prod"), &Named::new()),
            [(user(1), ClusterRole::User)].into()
        );
        assert!(on(cluster(3, "dev"), &Named::new()).is_empty());
        assert_eq!(rights.members[&user(2)], TenantRole::Owner);
    }
}
