//! What edges refuse, in the audit log: with whom it concerns, and nothing of one tenant in another's.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use updraft_authz::{ApiToken, TokenHash};
use updraft_model::{AuditActorKind, AuditOutcome, ClusterId, TenantId, TokenLimit};
use updraft_store::audit_log::{self, Entry, Filter};
use uuid::Uuid;

use crate::support::{Someone, World};

/// Two tenants with a cluster each, and an edge in front of both.
struct House {
    world: World,
    edges: Router,
    ada: Someone,
    hers: ClusterId,
    eve: Someone,
    eves: ClusterId,
}

impl House {
    async fn new() -> Self {
        let world = World::new().await;
        let ada = world.owner(world.tenant("acme").await).await;
        let eve = world.owner(world.tenant("globex").await).await;
        let hers = world.cluster(&ada, "hers").await;
        let eves = world.cluster(&eve, "eves").await;
        let edges = updraft_control::edges::router(updraft_control::edges::EdgesState {
            app: world.app.clone(),
            edge_token: "edge".to_owned().into(),
            snapshot: tokio::sync::watch::channel(None).1,
            tunnels: None,
        });
        Self {
            world,
            edges,
            ada,
            hers,
            eve,
            eves,
        }
    }

    async fn send(&self, edge_token: &str, report: &Value) -> u16 {
        let asked = Request::post("/edge/v1/refusals")
            .header("authorization", format!("Bearer {edge_token}"))
            .header("content-type", "application/json")
            .body(Body::from(report.to_string()))
            .unwrap();
        let answer = tower::ServiceExt::oneshot(self.edges.clone(), asked)
            .await
            .unwrap();
        answer.status().as_u16()
    }

    async fn tell(&self, refusals: Vec<Value>) {
        let report = json!({"refusals": refusals, "dropped": 0});
        assert_eq!(self.send("edge", &report).await, 204);
    }

    async fn lines(&self, tenant: Option<TenantId>) -> Vec<Entry> {
        let mut tx = self.world.tx().await;
        let filter = Filter {
            outcome: Some(AuditOutcome::Refused),
            ..Filter::default()
        };
        let lines = audit_log::list_before(&mut tx, tenant, &filter, None, 1_000)
            .await
            .unwrap();
        lines.into_iter().map(|line| line.entry).collect()
    }

    async fn newest(&self, tenant: TenantId) -> Entry {
        self.lines(Some(tenant)).await.remove(0)
    }
}

fn refused(why: &str, cluster: ClusterId, with: Value) -> Value {
    let mut one = json!({
        "why": why, "cluster": cluster, "times": 3, "first": 1_795_200_000, "last": 1_795_200_060,
        "from": {"address": "192.0.2.9", "user_agent": "curl/8", "request_id": "r1"},
    });
    one["with"] = with;
    one
}

fn session(of: &Someone) -> Value {
    json!({"session": of.session})
}

fn token(of: &Someone) -> Value {
    json!({"token": ApiToken::parse(&of.token).unwrap().hash()})
}

#[tokio::test]
async fn a_dead_credential_is_told_to_its_tenant_with_why_it_is_dead() {
    let house = House::new().await;
    let (world, ada) = (&house.world, &house.ada);
    let (expired, revoked) = (world.expired_token(ada).await, world.revoked_token(ada).await);
    let fresh = world.api_token(ada, TokenLimit::Full).await;
    for (why, with, reason) in [
        ("token", token(&expired), "token-expired"),
        ("token", token(&revoked), "token-revoked"),
        ("token", token(&fresh), "token-too-new"),
        ("no_role", token(&fresh), "no-role"),
        ("session_ended", session(ada), "session-ended"),
        ("session_expired", session(ada), "session-expired"),
        ("session_elsewhere", session(ada), "session-of-another-host"),
    ] {
        house.tell(vec![refused(why, house.hers, with)]).await;
        let line = house.newest(ada.tenant).await;
        assert_eq!(
            (line.action.as_str(), line.reason.as_deref()),
            ("airflow.open", Some(reason))
        );
        assert_eq!(
            (line.actor_kind, line.actor_id, &line.actor_name),
            (AuditActorKind::Person, Some(ada.user.0), &ada.email),
            "{reason}"
        );
        assert_eq!(line.target, Some(format!("cluster:{}", house.hers)));
        assert_eq!(line.target_name.as_deref(), Some("hers"));
        assert_eq!(line.address, Some([192, 0, 2, 9].into()));
        assert_eq!(
            line.after,
            Some(json!({
                "repeated": 3, "first": "2026-11-20T18:40:00+00:00", "last": "2026-11-20T18:41:00+00:00",
            }))
        );
    }
}

#[tokio::test]
async fn a_token_whose_owner_was_switched_off_is_nobodys() {
    let house = House::new().await;
    let bo = house
        .world
        .someone(house.ada.tenant, updraft_model::TenantRole::Member)
        .await;
    let his = house.world.api_token(&bo, TokenLimit::Full).await;
    house
        .world
        .execute(&format!(
            "update memberships set disabled_at = now() where user_id = '{}'",
            bo.user
        ))
        .await;
    house.tell(vec![refused("token", house.hers, token(&his))]).await;
    let line = house.newest(house.ada.tenant).await;
    assert_eq!(line.reason.as_deref(), Some("token-of-nobody"));
    assert_eq!(line.actor_id, Some(bo.user.0));
}

#[tokio::test]
async fn a_service_account_and_a_directory_are_told_as_what_they_are() {
    let house = House::new().await;
    let program = Someone {
        user: house.world.service_account(&house.ada).await,
        ..house.ada.clone()
    };
    let program = house.world.api_token(&program, TokenLimit::User).await;
    let directory = house.world.api_token(&house.ada, TokenLimit::Scim).await;
    for (with, kind) in [
        (token(&program), AuditActorKind::Service),
        (token(&directory), AuditActorKind::Directory),
    ] {
        house.tell(vec![refused("no_role", house.hers, with)]).await;
        assert_eq!(house.newest(house.ada.tenant).await.actor_kind, kind);
    }
}

#[tokio::test]
async fn what_proves_nothing_is_told_to_the_clusters_tenant_as_nobodys() {
    let house = House::new().await;
    let (ada, hers) = (&house.ada, house.hers);
    let never_given = json!({"token": TokenHash([7; 32])});
    let no_session = json!({"session": Uuid::new_v4()});
    for (why, with, reason) in [
        ("forged", json!("nothing"), "credential-forged"),
        ("token", never_given, "token-unknown"),
        ("session_ended", no_session, "session-ended"),
        ("handover_elsewhere", json!("nothing"), "handover-refused"),
        ("cross_site", session(ada), "cross-site"),
    ] {
        house.tell(vec![refused(why, hers, with)]).await;
        let line = house.newest(ada.tenant).await;
        assert_eq!(line.reason.as_deref(), Some(reason));
        assert_eq!(
            (line.actor_kind, line.actor_id, line.actor_name.as_str()),
            (AuditActorKind::Nobody, None, ""),
            "{reason}"
        );
    }
    assert!(house.lines(Some(house.eve.tenant)).await.is_empty());
    assert!(house.lines(None).await.is_empty());

    let nowhere = refused("forged", ClusterId(99_999), json!("nothing"));
    let at_all = json!({"why": "forged", "cluster": null, "with": "nothing", "times": 1, "first": 0, "last": 0, "from": {"request_id": ""}});
    house.tell(vec![nowhere, at_all]).await;
    assert_eq!(house.lines(None).await.len(), 2, "nobody's, and no tenant's");
}

#[tokio::test]
async fn two_tenants_hear_of_a_stranger_and_neither_of_the_other() {
    let house = House::new().await;
    let token_of_eve = house.world.api_token(&house.eve, TokenLimit::Full).await;
    for with in [session(&house.eve), token(&token_of_eve)] {
        house.tell(vec![refused("no_role", house.hers, with)]).await;
        let (at_eves, at_adas) = (
            house.newest(house.eve.tenant).await,
            house.newest(house.ada.tenant).await,
        );
        assert_eq!(
            (at_eves.actor_id, at_eves.target_name),
            (Some(house.eve.user.0), None)
        );
        assert_eq!(
            (at_adas.actor_kind, at_adas.actor_id, &at_adas.credential),
            (AuditActorKind::Nobody, None, &None)
        );
        assert_eq!(at_adas.reason.as_deref(), Some("no-role"));
        let text = format!("{at_adas:?}");
        let (email, tenant) = (house.eve.email.clone(), house.eve.tenant.to_string());
        for trace in [email, tenant, "eves".to_owned()] {
            assert!(!text.contains(&trace), "{trace}: {text}");
        }
    }
    let own = refused("session_ended", house.eves, session(&house.eve));
    house.tell(vec![own]).await;
    assert_eq!(house.lines(Some(house.ada.tenant)).await.len(), 2);
}

#[tokio::test]
async fn a_flood_at_an_edge_does_not_fill_the_log() {
    let house = House::new().await;
    for round in 0..10_u8 {
        let flood = (0..=255).map(|n| {
            let never_given = json!({"token": TokenHash([n ^ round; 32])});
            refused("token", house.hers, never_given)
        });
        house.tell(flood.collect()).await;
    }
    assert_eq!(house.lines(Some(house.ada.tenant)).await.len(), 5);
    house
        .tell(vec![refused("session_ended", house.hers, session(&house.ada))])
        .await;
    let line = house.newest(house.ada.tenant).await;
    assert_eq!(
        line.actor_id,
        Some(house.ada.user.0),
        "who is known is not hidden"
    );
}

#[tokio::test]
async fn only_edges_tell_and_not_too_much_at_once() {
    let house = House::new().await;
    let one = refused("forged", house.hers, json!("nothing"));
    let report = json!({"refusals": [one], "dropped": 0});
    for nobody in ["", "another", "edge2"] {
        assert_eq!(house.send(nobody, &report).await, 401);
    }
    let many = json!({"refusals": vec![one.clone(); 257], "dropped": 0});
    assert_eq!(house.send("edge", &many).await, 422);
    assert!(house.lines(Some(house.ada.tenant)).await.is_empty());

    assert_eq!(
        house.send("edge", &json!({"refusals": [], "dropped": 12})).await,
        204
    );
    let line = house.lines(None).await.remove(0);
    assert_eq!(line.after, Some(json!({"repeated": 12})));
}
