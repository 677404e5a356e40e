use updraft_api::edge::RouteState;
use updraft_authz::{AccessRule, ClusterFacts, PersonFacts, SigningKey, Target, Who};
use updraft_model::{ClusterRole, RuleId, TenantRole, UserId};
use updraft_store::person_facts::KnownPerson;
use uuid::Uuid;

use super::*;
use crate::edges::effective::Named;

const ACME: TenantId = TenantId(Uuid::from_u128(1));
const ADA: UserId = UserId(Uuid::from_u128(7));

fn constants(seed: u8) -> Constants {
    Constants {
        airflow_key: SigningKey::from_seed("test", &[7; 32]).unwrap(),
        session_keys: vec![
            SigningKey::from_seed("test", &[seed; 32])
                .unwrap()
                .public()
                .clone(),
        ],
        tunnel_authority: None,
        tunnel_tokens: Vec::new(),
        console_url: "http://localhost:7700".into(),
    }
}

fn news() -> News {
    News {
        constants: constants(1),
        is_whole: false,
        rights: Vec::new(),
        clusters: Vec::new(),
        gone: Vec::new(),
        revoked: Vec::new(),
    }
}

fn cluster(id: i64, state: &RouteState) -> Cluster {
    let id = ClusterId(id);
    Cluster {
        facts: ClusterFacts {
            id,
            tags: Default::default(),
        },
        named: Named::new(),
        route: serde_json::from_value(serde_json::json!({
            "cluster": id, "tenant": ACME, "name": "demo", "host": format!("c{id}.example.com"),
            "runtime": "airflow-3.3.2", "state": state,
        }))
        .unwrap(),
    }
}

/// Ada is a member; by rule she has this role on every cluster.
fn rights(role: Option<ClusterRole>) -> (TenantId, Rights) {
    let ada = KnownPerson {
        tenant: ACME,
        name: "Ada".into(),
        facts: PersonFacts::unvouched(ADA, TenantRole::Member, "ada@example.com"),
    };
    let rule = role.map(|role| AccessRule {
        id: RuleId(Uuid::nil()),
        who: Who::Everyone,
        role,
        target: Target::EveryCluster,
    });
    (ACME, Rights::new(&[ada], rule.as_slice(), Vec::new()))
}

fn session(id: u128) -> SessionId {
    SessionId(Uuid::from_u128(id))
}

fn canonical(snapshot: &Snapshot) -> serde_json::Value {
    let mut routes = snapshot.routes.clone();
    routes.sort_by_key(|route| route.cluster);
    let mut revoked: Vec<_> = snapshot.policy.revoked_sessions.iter().collect();
    revoked.sort();
    let mut value = serde_json::to_value(snapshot).unwrap();
    value["routes"] = serde_json::json!(routes);
    value["policy"]["revoked_sessions"] = serde_json::json!(revoked);
    value
}

/// All that happens in these tests, one after the other.
fn history() -> Vec<News> {
    let stopped = &RouteState::Stopped;
    vec![
        News {
            is_whole: true,
            rights: vec![rights(None)],
            clusters: vec![cluster(1, stopped), cluster(2, stopped)],
            revoked: vec![session(1)],
            ..news()
        },
        News {
            rights: vec![rights(Some(ClusterRole::User))],
            ..news()
        },
        News {
            clusters: vec![cluster(2, &RouteState::Stopping), cluster(3, stopped)],
            ..news()
        },
        News {
            gone: vec![ClusterId(1)],
            revoked: vec![session(2)],
            ..news()
        },
        News {
            is_whole: true,
            rights: vec![rights(Some(ClusterRole::Admin))],
            clusters: vec![cluster(2, stopped), cluster(4, stopped)],
            revoked: vec![session(2)],
            ..news()
        },
        News {
            rights: vec![(ACME, Rights::default())],
            ..news()
        },
    ]
}

#[test]
fn an_edge_that_takes_each_change_has_what_one_has_that_is_sent_everything() {
    let mut picture = Picture::empty(constants(1));
    let mut edge = picture.snapshot();
    let mut late = picture.snapshot();
    for news in history() {
        assert!(picture.take(news));
        assert!(edge.take(picture.change_since(edge.version).unwrap()));
        assert_eq!(canonical(&edge), canonical(&picture.snapshot()));
    }
    assert!(
        late.take(picture.change_since(late.version).unwrap()),
        "all changes at once"
    );
    assert_eq!(canonical(&late), canonical(&picture.snapshot()));
}

#[test]
fn pictures_of_the_same_have_the_same_version_however_they_came_to_be() {
    let mut one = Picture::empty(constants(1));
    history()
        .into_iter()
        .take(3)
        .for_each(|news| assert!(one.take(news)));
    let mut other = Picture::empty(constants(1));
    other.take(News {
        is_whole: true,
        rights: vec![rights(Some(ClusterRole::User))],
        clusters: vec![
            cluster(3, &RouteState::Stopped),
            cluster(2, &RouteState::Stopping),
            cluster(1, &RouteState::Stopped),
        ],
        revoked: vec![session(1)],
        ..news()
    });
    assert_eq!(one.version(), other.version());
    assert!(!one.take(news()), "nothing is new");
    other.take(News {
        gone: vec![ClusterId(3)],
        ..news()
    });
    assert_ne!(one.version(), other.version());
}

#[test]
fn a_right_that_ends_ends_on_every_cluster_of_its_tenant() {
    let mut picture = Picture::empty(constants(1));
    history()
        .into_iter()
        .take(2)
        .for_each(|news| assert!(picture.take(news)));
    let granted = |picture: &Picture| {
        let policy = picture.snapshot().policy;
        policy
            .clusters
            .values()
            .filter(|policy| policy.grants.contains_key(&ADA))
            .count()
    };
    assert_eq!(granted(&picture), 2);
    let version = picture.version();
    picture.take(News {
        rights: vec![rights(None)],
        ..news()
    });
    assert_eq!(granted(&picture), 0);
    let change = picture.change_since(version).unwrap();
    assert_eq!((change.policies.len(), change.routes.len()), (2, 2));
}

#[test]
fn other_keys_are_sent_with_everything() {
    let mut picture = Picture::empty(constants(1));
    history()
        .into_iter()
        .take(1)
        .for_each(|news| assert!(picture.take(news)));
    let version = picture.version();
    picture.take(News {
        constants: constants(2),
        ..news()
    });
    assert_ne!(picture.version(), version);
    assert!(picture.change_since(version).is_none());
    assert_eq!(picture.snapshot().routes.len(), 2);
}
