//! "Why may she?": everything that gives, or could have given, somebody a role on a cluster.

use serde::{Deserialize, Serialize};
use updraft_model::{ClusterRole, TenantRole};
use utoipa::ToSchema;

use crate::Why;
use crate::effective::effective_role;
use crate::rules::{AccessRule, ClusterFacts, PersonFacts};

/// One reason, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub why: Why,
    /// The role it gives, or would give.
    pub role: ClusterRole,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The role comes from here.
    Decides,
    /// It holds too, but gives no more than what decides.
    Holds,
    /// The rule is about other people.
    OtherPeople,
    /// The rule is about this address or its domain, but no identity provider vouched that it is the person's.
    AddressNotVouched,
    /// The rule is about the person, but not on this cluster.
    OtherClusters,
}

/// Every reason: ownership, what was given by name, and each rule in its order.
#[must_use]
pub fn explain(
    person: &PersonFacts,
    cluster: &ClusterFacts,
    granted: Option<ClusterRole>,
    rules: &[AccessRule],
) -> Vec<Reason> {
    let decisive = effective_role(person, cluster, granted, rules).map(|(_, why)| why);
    let owner = (person.tenant_role == TenantRole::Owner).then_some((Why::TenantOwner, ClusterRole::Admin));
    let given = granted.map(|role| (Why::Granted, role));
    let by_name = owner.into_iter().chain(given).map(|(why, role)| Reason {
        why,
        role,
        outcome: holding(why, decisive),
    });
    let by_rule = rules.iter().map(|rule| Reason {
        why: Why::Rule(rule.id),
        role: rule.role,
        outcome: of_rule(rule, person, cluster, decisive),
    });
    by_name.chain(by_rule).collect()
}

fn of_rule(
    rule: &AccessRule,
    person: &PersonFacts,
    cluster: &ClusterFacts,
    decisive: Option<Why>,
) -> Outcome {
    match (rule.who.is(person), rule.target.is(cluster)) {
        (true, true) => holding(Why::Rule(rule.id), decisive),
        (true, false) => Outcome::OtherClusters,
        (false, true) if rule.who.wants_vouching(person) => Outcome::AddressNotVouched,
        (false, _) => Outcome::OtherPeople,
    }
}

fn holding(why: Why, decisive: Option<Why>) -> Outcome {
    if decisive == Some(why) {
        Outcome::Decides
    } else {
        Outcome::Holds
    }
}
