//! People and their roles on clusters.

use serde_json::json;
use updraft_model::TenantRole;

use crate::support::{World, request};

#[tokio::test]
async fn an_owner_adds_people_who_can_sign_in_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let new = json!({"email": "Ada@Example.com", "name": "Ada", "tenant_role": "member", "password": "a long password"});
    let made = world.post(&owner, "/people", new.clone()).await.must_be(201);
    assert_eq!(made["email"], "ada@example.com");
    assert!(!made.to_string().contains("password"));
    assert_eq!(
        world.post(&owner, "/people", new).await.problem(409),
        "email-taken"
    );

    let body = json!({"email": "ADA@example.com", "password": "a long password"});
    let signed_in = world
        .send(request("POST", "/sessions").json(&body))
        .await
        .must_be(201);
    assert_eq!(signed_in["me"]["tenant_role"], "member");
    for (field, bad) in [
        (
            "email",
            json!({"email": "ada", "name": "A", "tenant_role": "member", "password": "a long password"}),
        ),
        (
            "name",
            json!({"email": "b@example.com", "name": " ", "tenant_role": "member", "password": "a long password"}),
        ),
        (
            "password",
            json!({"email": "b@example.com", "name": "B", "tenant_role": "member", "password": "short"}),
        ),
        (
            "tenant_role",
            json!({"email": "b@example.com", "name": "B", "tenant_role": "king", "password": "a long password"}),
        ),
    ] {
        assert_eq!(world.post(&owner, "/people", bad).await.refused_field(422), field);
    }
}

#[tokio::test]
async fn the_last_owner_stays() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let (one, two) = (world.owner(tenant).await, world.owner(tenant).await);
    let remove = |who| world.delete(&one, who);
    let (first, second) = (format!("/people/{}", one.user), format!("/people/{}", two.user));
    remove(&second).await.must_be(204);
    assert_eq!(remove(&first).await.problem(409), "last-owner");
    assert_eq!(remove(&second).await.problem(404), "person-not-found");
}

#[tokio::test]
async fn of_two_last_owners_who_remove_each_other_one_stays() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let (one, two) = (world.owner(tenant).await, world.owner(tenant).await);
    let (first, second) = (format!("/people/{}", one.user), format!("/people/{}", two.user));
    let (a, b) = tokio::join!(world.delete(&one, &second), world.delete(&two, &first));
    let gone = [&a, &b].iter().filter(|answer| answer.status == 204).count();
    assert_eq!(gone, 1, "{} {}", a.text, b.text);
}

#[tokio::test]
async fn a_removed_person_is_out_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let member = world.someone(tenant, TenantRole::Member).await;
    world.get(&member, "/me").await.must_be(200);
    world
        .delete(&owner, &format!("/people/{}", member.user))
        .await
        .must_be(204);
    assert_eq!(world.get(&member, "/me").await.problem(401), "not-signed-in");
}

#[tokio::test]
async fn a_grant_is_given_changed_listed_and_taken_away() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let member = world.someone(tenant, TenantRole::Member).await;
    let id = world.cluster(&owner, "demo").await;
    let path = format!("/clusters/{id}/grants/{}", member.user);
    let role = async || world.get(&member, "/clusters/1").await;

    assert_eq!(role().await.problem(404), "cluster-not-found");
    for granted in ["user", "admin"] {
        let put = request("PUT", &path)
            .bearer(&owner)
            .json(&json!({"role": granted}));
        assert_eq!(world.send(put).await.must_be(200)["role"], granted);
        assert_eq!(role().await.must_be(200)["role"], granted);
    }
    let listed = world.get(&owner, "/clusters/1/grants").await.must_be(200);
    assert_eq!(listed["items"][0]["email"], member.email);
    world.delete(&owner, &path).await.must_be(204);
    assert_eq!(role().await.problem(404), "cluster-not-found");
    assert_eq!(world.delete(&owner, &path).await.problem(404), "grant-not-found");
}

#[tokio::test]
async fn people_come_in_pages() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    for _ in 0..4 {
        world.someone(tenant, TenantRole::Member).await;
    }
    let first = world.get(&owner, "/people?limit=3").await.must_be(200);
    let next = format!("/people?limit=3&cursor={}", first["next"].as_str().unwrap());
    let second = world.get(&owner, &next).await.must_be(200);
    assert_eq!(
        (
            first["items"].as_array().unwrap().len(),
            second["items"].as_array().unwrap().len()
        ),
        (3, 2)
    );
    assert!(second["next"].is_null());
}
