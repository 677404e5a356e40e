//! What the audit log calls whoever acts: a person, a program, a directory, or somebody who runs the installation.

use serde_json::json;
use updraft_model::{AuditActorKind, AuditOutcome, ClusterRole, TenantId, TokenLimit};
use updraft_store::audit_log::{self, Entry, Filter};
use updraft_store::operators;

use crate::support::{HOST, Someone, World};

async fn newest(world: &World, tenant: TenantId) -> Entry {
    let mut tx = world.tx().await;
    let mut lines = audit_log::list_before(&mut tx, Some(tenant), &Filter::default(), None, 1)
        .await
        .unwrap();
    lines.remove(0).entry
}

fn told(line: &Entry) -> (AuditActorKind, &str, AuditOutcome) {
    (line.actor_kind, &line.action, line.outcome)
}

#[tokio::test]
async fn a_service_account_is_no_person() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let cluster = world.cluster(&owner, "demo").await;
    let program = Someone {
        user: world.service_account(&owner).await,
        ..owner.clone()
    };
    world.grant(&program, cluster, ClusterRole::Admin).await;
    let program = world.api_token(&program, TokenLimit::Full).await;

    let start = format!("/clusters/{cluster}/start");
    world.post(&program, &start, json!({})).await.must_be(202);
    let line = newest(&world, tenant).await;
    assert_eq!(
        told(&line),
        (AuditActorKind::Service, "cluster.start", AuditOutcome::Done)
    );
    assert_eq!(line.actor_id, Some(program.user.0));

    let more = json!({"name": "another"});
    world.post(&program, "/clusters", more).await.must_be(403);
    let line = newest(&world, tenant).await;
    assert_eq!(
        told(&line),
        (AuditActorKind::Service, "cluster.create", AuditOutcome::Refused)
    );

    let persons = world.api_token(&owner, TokenLimit::Full).await;
    world.post(&persons, &start, json!({})).await;
    assert_eq!(newest(&world, tenant).await.actor_kind, AuditActorKind::Person);
    let listed = world.get(&owner, "/audit").await.must_be(200);
    let kinds: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["actor"]["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds[..3], ["person", "service", "service"], "{listed}");
}

#[tokio::test]
async fn a_directory_is_neither_its_owner_nor_a_person() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let directory = world.api_token(&owner, TokenLimit::Scim).await;
    let person = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@example.com",
    });
    let asked = axum::http::Request::post("/scim/v2/Users")
        .header("host", HOST)
        .header("content-type", "application/scim+json")
        .header("authorization", format!("Bearer {}", directory.token))
        .body(person.to_string().into())
        .unwrap();
    world.send(asked).await.must_be(201);
    let line = newest(&world, tenant).await;
    assert_eq!(
        told(&line),
        (
            AuditActorKind::Directory,
            "directory.person_add",
            AuditOutcome::Done
        )
    );
}

#[tokio::test]
async fn an_operator_is_one_only_in_what_operators_alone_may_do() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let operator = world.owner(home).await;
    let mut tx = world.tx().await;
    operators::ensure_one(&mut tx, home).await.unwrap();
    tx.commit().await.unwrap();

    let lab = json!({"name": "Lab", "owner": {"email": "ada@lab.example", "name": "Ada"}});
    world.post(&operator, "/tenants", lab.clone()).await.must_be(201);
    let line = newest(&world, home).await;
    assert_eq!(
        told(&line),
        (AuditActorKind::Operator, "tenant.create", AuditOutcome::Done)
    );
    world.post(&operator, "/tenants", lab).await.must_be(409);
    let line = newest(&world, home).await;
    assert_eq!(
        told(&line),
        (AuditActorKind::Operator, "tenant.create", AuditOutcome::Refused)
    );

    world.cluster(&operator, "demo").await;
    let line = newest(&world, home).await;
    assert_eq!(
        told(&line),
        (AuditActorKind::Person, "cluster.create", AuditOutcome::Done)
    );
}
