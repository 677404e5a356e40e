//! What one decision costs with a thousand rules: it is asked for with each request.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use updraft_authz::{AccessRule, ClusterFacts, CompiledRules, PersonFacts, Tag, Target, Who, effective_role};
use updraft_model::{ClusterId, ClusterRole, RuleId, TenantRole, UserId};
use uuid::Uuid;

/// Of all kinds, the one that matches last.
fn rules(count: usize) -> Vec<AccessRule> {
    let who = |n: usize| match n % 3 {
        0 => Who::Group(format!("department-{n:04}-platform-engineering")),
        1 => Who::Domain(format!("department-{n:04}.example.com")),
        _ => Who::Email(format!("person-{n:04}@department.example.com")),
    };
    let target = |n: usize| match n % 7 {
        0 => Target::EveryCluster,
        1 => Target::Cluster(ClusterId(i64::try_from(n).unwrap_or_default())),
        _ => Target::Tag(Tag {
            key: "env".into(),
            value: if n.is_multiple_of(2) { "prod" } else { "staging" }.into(),
        }),
    };
    let rule = |n: usize| AccessRule {
        id: RuleId(Uuid::from_u128(n as u128)),
        who: who(n),
        role: ClusterRole::User,
        target: target(n),
    };
    let last = AccessRule {
        who: Who::Group("own-19".into()),
        role: ClusterRole::Admin,
        target: Target::EveryCluster,
        ..rule(count)
    };
    (1..count).map(rule).chain([last]).collect()
}

/// In twenty groups, with two addresses.
fn person() -> PersonFacts {
    PersonFacts {
        groups: (0..20).map(|n| format!("own-{n}")).collect(),
        vouched_emails: ["ada@example.com", "ada@mail.example.com"]
            .map(str::to_owned)
            .into(),
        ..PersonFacts::unvouched(UserId(Uuid::nil()), TenantRole::Member, "ada@example.com")
    }
}

fn decisions(criterion: &mut Criterion) {
    let (rules, person) = (rules(1_000), person());
    let cluster = ClusterFacts {
        id: ClusterId(7),
        tags: [("env", "prod"), ("team", "data")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    criterion.bench_function("one decision, 1000 rules", |bencher| {
        bencher.iter(|| effective_role(black_box(&person), black_box(&cluster), None, black_box(&rules)));
    });
    let compiled = CompiledRules::new(&rules);
    criterion.bench_function("one person's compiled rules", |bencher| {
        bencher.iter(|| compiled.of(black_box(&person)));
    });
    let own = compiled.of(&person);
    criterion.bench_function("one more cluster of that person", |bencher| {
        bencher.iter(|| own.role_on(black_box(&cluster), None));
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
