//! What everybody may do on every cluster, worked out here so that edges need neither rules nor groups. Pure.

use std::collections::HashMap;

use updraft_authz::{AccessRule, ClusterPolicy, CompiledRules};
use updraft_model::{ClusterId, ClusterRole, TenantId, TenantRole, UserId};
use updraft_store::person_facts::KnownPerson;
use updraft_store::routes::RoutedCluster;

/// Tenant members; whoever is switched off is none.
pub(super) fn members(people: &[KnownPerson]) -> HashMap<TenantId, HashMap<UserId, TenantRole>> {
    let mut members: HashMap<_, HashMap<_, _>> = HashMap::new();
    for KnownPerson { tenant, facts, .. } in people {
        members
            .entry(*tenant)
            .or_default()
            .insert(facts.user, facts.tenant_role);
    }
    members
}

/// By cluster: whoever has a role on it by name or by rule. Owners have theirs by being members.
pub(super) fn cluster_policies(
    clusters: &[RoutedCluster],
    people: &[KnownPerson],
    grants: Vec<(ClusterId, UserId, ClusterRole)>,
    rules: Vec<(TenantId, AccessRule)>,
) -> HashMap<ClusterId, ClusterPolicy> {
    let rules = compiled(rules);
    let by_name: HashMap<_, _> = grants
        .into_iter()
        .map(|(cluster, user, role)| ((cluster, user), role))
        .collect();
    let mut policies: HashMap<_, _> = clusters
        .iter()
        .map(|it| (it.facts.id, empty(it.tenant)))
        .collect();
    let mut of_tenant: HashMap<_, Vec<_>> = HashMap::new();
    for cluster in clusters {
        of_tenant.entry(cluster.tenant).or_default().push(&cluster.facts);
    }
    for KnownPerson { tenant, facts, .. } in people {
        if facts.tenant_role == TenantRole::Owner {
            continue;
        }
        let own = rules.get(tenant).unwrap_or(&CompiledRules::default()).of(facts);
        for cluster in of_tenant.get(tenant).into_iter().flatten() {
            let granted = by_name.get(&(cluster.id, facts.user)).copied();
            if let Some((role, _)) = own.role_on(cluster, granted)
                && let Some(policy) = policies.get_mut(&cluster.id)
            {
                policy.grants.insert(facts.user, role);
            }
        }
    }
    policies
}

fn compiled(rules: Vec<(TenantId, AccessRule)>) -> HashMap<TenantId, CompiledRules> {
    let mut by_tenant: HashMap<_, Vec<_>> = HashMap::new();
    for (tenant, rule) in rules {
        by_tenant.entry(tenant).or_default().push(rule);
    }
    by_tenant
        .into_iter()
        .map(|(tenant, rules)| (tenant, CompiledRules::new(&rules)))
        .collect()
}

fn empty(tenant: TenantId) -> ClusterPolicy {
    ClusterPolicy {
        tenant,
        grants: HashMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use updraft_authz::{AccessRule, ClusterFacts, PersonFacts, Target, Who};
    use updraft_model::{ClusterId, ClusterRole, Phase, RuleId, TenantId, TenantRole, UserId};
    use updraft_store::person_facts::KnownPerson;
    use updraft_store::routes::RoutedCluster;
    use uuid::Uuid;

    use super::{cluster_policies, members};

    const ACME: TenantId = TenantId(Uuid::from_u128(1));
    const GLOBEX: TenantId = TenantId(Uuid::from_u128(2));

    fn cluster(id: i64, tenant: TenantId, env: &str) -> RoutedCluster {
        RoutedCluster {
            facts: ClusterFacts {
                id: ClusterId(id),
                tags: [("env".to_owned(), env.to_owned())].into(),
            },
            tenant,
            name: "demo".parse().unwrap(),
            runtime: "airflow-3.3.2".into(),
            phase: Phase::Running,
            web_addresses: vec![],
            web_nodes: vec![],
            stops_when_idle: false,
            in_tenants_account: false,
            web_running: false,
        }
    }

    fn person(id: u128, tenant: TenantId, tenant_role: TenantRole, group: &str) -> KnownPerson {
        let facts = PersonFacts::unvouched(UserId(Uuid::from_u128(id)), tenant_role, "ada@example.com");
        KnownPerson {
            tenant,
            name: "Ada".into(),
            facts: PersonFacts {
                groups: [group.to_owned()].into(),
                ..facts
            },
        }
    }

    #[test]
    fn rules_reach_their_own_tenant_alone_and_never_lower_what_was_granted() {
        let clusters = [
            cluster(1, ACME, "prod"),
            cluster(2, ACME, "dev"),
            cluster(3, GLOBEX, "prod"),
        ];
        let people = [
            person(1, ACME, TenantRole::Member, "data"),
            person(2, ACME, TenantRole::Owner, "data"),
            person(3, GLOBEX, TenantRole::Member, "data"),
            // The same account in both.
            person(1, GLOBEX, TenantRole::Member, "none"),
        ];
        let user = |id| UserId(Uuid::from_u128(id));
        let rule = AccessRule {
            id: RuleId(Uuid::nil()),
            who: Who::Group("data".into()),
            role: ClusterRole::User,
            target: Target::Tag(updraft_authz::Tag {
                key: "env".into(),
                value: "prod".into(),
            }),
        };
        let grants = vec![(ClusterId(1), user(1), ClusterRole::Admin)];
        let policies = cluster_policies(&clusters, &people, grants, vec![(ACME, rule.clone())]);
        assert_eq!(
            policies[&ClusterId(1)].grants,
            [(user(1), ClusterRole::Admin)].into()
        );
        assert!(policies[&ClusterId(2)].grants.is_empty() && policies[&ClusterId(3)].grants.is_empty());

        let policies = cluster_policies(
            &clusters,
            &people,
            vec![],
            vec![(ACME, rule.clone()), (GLOBEX, rule)],
        );
        assert_eq!(
            policies[&ClusterId(1)].grants,
            [(user(1), ClusterRole::User)].into()
        );
        assert_eq!(
            policies[&ClusterId(3)].grants,
            [(user(3), ClusterRole::User)].into()
        );
        assert_eq!(members(&people)[&ACME][&user(2)], TenantRole::Owner);
    }
}
