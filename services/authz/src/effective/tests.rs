use std::collections::BTreeSet;

use proptest::prelude::*;
use updraft_model::{ClusterId, ClusterRole, RuleId, TenantRole, UserId};
use uuid::Uuid;

use super::{CompiledRules, effective_role};
use crate::explain::{Outcome, explain};
use crate::rules::{AccessRule, ClusterFacts, PersonFacts, Tag, Target, Who};
use crate::{Reason, Why};

const ADMIN: ClusterRole = ClusterRole::Admin;
const USER: ClusterRole = ClusterRole::User;

fn person() -> PersonFacts {
    PersonFacts {
        groups: ["data-platform".to_owned()].into(),
        vouched_emails: ["ada@example.com".to_owned()].into(),
        ..PersonFacts::unvouched(UserId(Uuid::nil()), TenantRole::Member, "ada@example.com")
    }
}

fn cluster() -> ClusterFacts {
    ClusterFacts {
        id: ClusterId(7),
        tags: [("env".to_owned(), "prod".to_owned())].into(),
    }
}

fn rule(id: u128, who: Who, role: ClusterRole, target: Target) -> AccessRule {
    AccessRule {
        id: RuleId(Uuid::from_u128(id)),
        who,
        role,
        target,
    }
}

fn group(name: &str) -> Who {
    Who::Group(name.into())
}

fn tag(key: &str, value: &str) -> Target {
    Target::Tag(Tag {
        key: key.into(),
        value: value.into(),
    })
}

fn by_rule(role: ClusterRole, id: u128) -> Option<(ClusterRole, Why)> {
    Some((role, Why::Rule(RuleId(Uuid::from_u128(id)))))
}

#[test]
fn a_group_is_admin_on_what_its_rule_names() {
    let rules = [rule(1, group("data-platform"), ADMIN, tag("env", "prod"))];
    assert_eq!(
        effective_role(&person(), &cluster(), None, &rules),
        by_rule(ADMIN, 1)
    );
    let untagged = ClusterFacts {
        tags: Default::default(),
        ..cluster()
    };
    assert_eq!(effective_role(&person(), &untagged, None, &rules), None);
    let outsider = PersonFacts {
        groups: BTreeSet::new(),
        ..person()
    };
    assert_eq!(effective_role(&outsider, &cluster(), None, &rules), None);
}

#[test]
fn group_names_and_tags_are_compared_to_the_letter() {
    for near in ["Data-Platform", "data-platform ", "data", "/data-platform"] {
        let rules = [rule(1, group(near), ADMIN, Target::EveryCluster)];
        assert_eq!(
            effective_role(&person(), &cluster(), None, &rules),
            None,
            "{near}"
        );
    }
    for near in [tag("env", "Prod"), tag("Env", "prod"), tag("env", "")] {
        let rules = [rule(1, Who::Everyone, ADMIN, near)];
        assert_eq!(effective_role(&person(), &cluster(), None, &rules), None);
    }
}

#[test]
fn the_highest_role_wins_then_ownership_then_the_name_then_the_oldest_rule() {
    let rules = [
        rule(3, Who::Everyone, USER, Target::EveryCluster),
        rule(2, group("data-platform"), ADMIN, Target::Cluster(ClusterId(7))),
        rule(1, group("data-platform"), ADMIN, Target::EveryCluster),
    ];
    let decided = |granted, rules: &[AccessRule]| effective_role(&person(), &cluster(), granted, rules);
    assert_eq!(decided(None, &rules), by_rule(ADMIN, 1));
    assert_eq!(decided(Some(USER), &rules), by_rule(ADMIN, 1));
    assert_eq!(decided(Some(ADMIN), &rules), Some((ADMIN, Why::Granted)));
    assert_eq!(decided(Some(USER), &rules[..1]), Some((USER, Why::Granted)));
    let owner = PersonFacts {
        tenant_role: TenantRole::Owner,
        ..person()
    };
    assert_eq!(
        effective_role(&owner, &cluster(), Some(USER), &rules),
        Some((ADMIN, Why::TenantOwner))
    );
}

#[test]
fn an_address_counts_only_when_the_provider_vouched_for_it() {
    let domain = [rule(
        1,
        Who::Domain("Example.com".into()),
        USER,
        Target::EveryCluster,
    )];
    let email = [rule(
        1,
        Who::Email("Ada@example.com".into()),
        USER,
        Target::EveryCluster,
    )];
    let typed = PersonFacts::unvouched(UserId(Uuid::nil()), TenantRole::Member, "ada@example.com");
    for rules in [&domain, &email] {
        assert_eq!(
            effective_role(&person(), &cluster(), None, rules),
            by_rule(USER, 1)
        );
        assert_eq!(effective_role(&typed, &cluster(), None, rules), None);
    }
    let hosted = PersonFacts {
        hosted_domains: ["example.com".to_owned()].into(),
        ..typed
    };
    assert_eq!(
        effective_role(&hosted, &cluster(), None, &domain),
        by_rule(USER, 1)
    );
    assert_eq!(effective_role(&hosted, &cluster(), None, &email), None);
}

#[test]
fn a_domain_is_neither_the_one_above_nor_the_one_below_it() {
    for near in [
        "com",
        "mail.example.com",
        "notexample.com",
        "@example.com",
        "example.com.",
        "",
    ] {
        let rules = [rule(1, Who::Domain(near.into()), ADMIN, Target::EveryCluster)];
        assert_eq!(
            effective_role(&person(), &cluster(), None, &rules),
            None,
            "{near}"
        );
    }
    let odd = PersonFacts {
        vouched_emails: ["\"x@example.com\"@evil.test".to_owned()].into(),
        ..person()
    };
    let rules = [rule(
        1,
        Who::Domain("example.com".into()),
        ADMIN,
        Target::EveryCluster,
    )];
    assert_eq!(effective_role(&odd, &cluster(), None, &rules), None);
}

#[test]
fn everyone_means_people() {
    let rules = [rule(1, Who::Everyone, USER, Target::EveryCluster)];
    let service = PersonFacts {
        is_service: true,
        ..person()
    };
    assert_eq!(
        effective_role(&person(), &cluster(), None, &rules),
        by_rule(USER, 1)
    );
    assert_eq!(effective_role(&service, &cluster(), None, &rules), None);
    assert_eq!(
        effective_role(&service, &cluster(), Some(USER), &rules),
        Some((USER, Why::Granted))
    );
}

#[test]
fn an_explanation_names_what_decided_what_also_holds_and_what_did_not_match() {
    let rules = [
        rule(1, Who::Everyone, USER, Target::EveryCluster),
        rule(2, group("data-platform"), ADMIN, tag("env", "prod")),
        rule(3, group("data-platform"), ADMIN, Target::Cluster(ClusterId(8))),
        rule(4, group("finance"), ADMIN, Target::EveryCluster),
    ];
    let outcomes = |person: &PersonFacts, granted| {
        let reasons = explain(person, &cluster(), granted, &rules);
        reasons
            .into_iter()
            .map(|reason: Reason| (reason.why, reason.outcome))
            .collect::<Vec<_>>()
    };
    let rule = |id| Why::Rule(RuleId(Uuid::from_u128(id)));
    assert_eq!(
        outcomes(&person(), Some(USER)),
        [
            (Why::Granted, Outcome::Holds),
            (rule(1), Outcome::Holds),
            (rule(2), Outcome::Decides),
            (rule(3), Outcome::OtherClusters),
            (rule(4), Outcome::OtherPeople),
        ]
    );
    let owner = PersonFacts {
        tenant_role: TenantRole::Owner,
        ..person()
    };
    assert_eq!(outcomes(&owner, None)[0], (Why::TenantOwner, Outcome::Decides));
    assert_eq!(outcomes(&owner, None)[2], (rule(2), Outcome::Holds));
}

#[test]
fn an_explanation_says_when_only_the_vouching_is_missing() {
    let rules = [rule(
        1,
        Who::Domain("example.com".into()),
        USER,
        Target::EveryCluster,
    )];
    let typed = PersonFacts::unvouched(UserId(Uuid::nil()), TenantRole::Member, "ada@example.com");
    let reasons = explain(&typed, &cluster(), None, &rules);
    assert_eq!(reasons[0].outcome, Outcome::AddressNotVouched);
}

// === the compiled rules ===

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "A"]).prop_map(str::to_owned)
}

fn any_rule() -> impl Strategy<Value = (Who, ClusterRole, Target)> {
    let who = prop_oneof![
        word().prop_map(Who::Group),
        word().prop_map(Who::Domain),
        word().prop_map(|name| Who::Email(format!("{name}@{name}"))),
        Just(Who::Everyone),
    ];
    let target = prop_oneof![
        Just(Target::EveryCluster),
        (0_i64..3).prop_map(|id| Target::Cluster(ClusterId(id))),
        (word(), word()).prop_map(|(key, value)| Target::Tag(Tag { key, value })),
    ];
    (who, role(), target)
}

fn role() -> impl Strategy<Value = ClusterRole> {
    prop::sample::select(vec![USER, ADMIN])
}

fn any_person() -> impl Strategy<Value = PersonFacts> {
    let words = || prop::collection::btree_set(word(), 0..3);
    (words(), words(), words(), any::<bool>(), any::<bool>()).prop_map(
        |(groups, emails, hosted, is_service, owner)| PersonFacts {
            is_service,
            groups,
            vouched_emails: emails.into_iter().map(|name| format!("{name}@{name}")).collect(),
            hosted_domains: hosted,
            ..PersonFacts::unvouched(
                UserId(Uuid::nil()),
                if owner {
                    TenantRole::Owner
                } else {
                    TenantRole::Member
                },
                "a@a",
            )
        },
    )
}

proptest! {
    #[test]
    fn compiled_rules_say_what_the_rules_say(
        rules in prop::collection::vec(any_rule(), 0..12),
        person in any_person(),
        id in 0_i64..3,
        tags in prop::collection::vec((word(), word()), 0..3),
        granted in prop::option::of(role()),
    ) {
        let rules: Vec<_> = (1..)
            .zip(rules)
            .map(|(id, (who, role, target))| rule(id, who, role, target))
            .collect();
        let cluster = ClusterFacts { id: ClusterId(id), tags: tags.into_iter().collect() };
        let said = effective_role(&person, &cluster, granted, &rules);
        prop_assert_eq!(CompiledRules::new(&rules).of(&person).role_on(&cluster, granted), said);
        // And the explanation has the same word on it.
        let decides: Vec<_> = explain(&person, &cluster, granted, &rules)
            .into_iter()
            .filter(|reason| reason.outcome == Outcome::Decides)
            .map(|reason| (reason.role, reason.why))
            .collect();
        prop_assert_eq!(decides, Vec::from_iter(said));
    }
}
