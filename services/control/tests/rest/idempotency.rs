//! `Idempotency-Key`: a repeated POST changes nothing twice.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Someone, World, request};

fn keyed(who: &Someone, path: &str, key: &str, body: &Value) -> Request<Body> {
    request("POST", path)
        .bearer(who)
        .header("idempotency-key", key)
        .json(body)
}

async fn world() -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, owner)
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer() {
    let (world, owner) = world().await;
    let body = json!({"name": "demo"});
    let first = world.send(keyed(&owner, "/clusters", "k1", &body)).await;
    let again = world.send(keyed(&owner, "/clusters", "k1", &body)).await;
    assert_eq!(first.must_be(202), again.must_be(202));
    assert_eq!(first.headers["etag"], again.headers["etag"]);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let restart = json!({});
    let one = world
        .send(keyed(&owner, "/clusters/1/restart", "k2", &restart))
        .await
        .must_be(202);
    let two = world
        .send(keyed(&owner, "/clusters/1/restart", "k2", &restart))
        .await
        .must_be(202);
    assert_eq!(one["cluster"]["generation"], two["cluster"]["generation"]);
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_person() {
    let (world, owner) = world().await;
    world
        .send(keyed(&owner, "/clusters", "k", &json!({"name": "one"})))
        .await
        .must_be(202);
    let other_body = world
        .send(keyed(&owner, "/clusters", "k", &json!({"name": "two"})))
        .await;
    assert_eq!(other_body.problem(422), "idempotency-key-reused");
    let other_route = world
        .send(keyed(&owner, "/clusters/1/stop", "k", &json!({"name": "one"})))
        .await;
    assert_eq!(other_route.problem(422), "idempotency-key-reused");
    let colleague = world.owner(owner.tenant).await;
    let theirs = world
        .send(keyed(&colleague, "/clusters", "k", &json!({"name": "two"})))
        .await;
    assert_eq!(theirs.must_be(202)["cluster"]["name"], "two");
}

#[tokio::test]
async fn of_the_same_request_at_once_one_is_done() {
    let (world, owner) = world().await;
    let body = json!({"name": "demo"});
    let send = || world.send(keyed(&owner, "/clusters", "k", &body));
    let (a, b, c) = tokio::join!(send(), send(), send());
    for answer in [&a, &b, &c] {
        match answer.status.as_u16() {
            202 => {}
            409 => assert_eq!(answer.problem(409), "idempotency-in-progress"),
            other => panic!("{other}: {}", answer.text),
        }
    }
    let listed = world.get(&owner, "/clusters").await.must_be(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(send().await.must_be(202)["cluster"]["name"], "demo");
}

#[tokio::test]
async fn a_refusal_leaves_the_key_free() {
    let (world, owner) = world().await;
    let taken = json!({"name": "demo"});
    world.cluster(&owner, "demo").await;
    assert_eq!(
        world
            .send(keyed(&owner, "/clusters", "k", &taken))
            .await
            .problem(409),
        "cluster-name-taken"
    );
    world
        .send(keyed(&owner, "/clusters", "k", &json!({"name": "free"})))
        .await
        .must_be(202);
}

#[tokio::test]
async fn what_is_kept_holds_no_password() {
    let (world, owner) = world().await;
    let person = |password: &str| json!({"email": "ada@example.com", "name": "Ada", "tenant_role": "member", "password": password});
    world
        .send(keyed(&owner, "/people", "k", &person("first password")))
        .await
        .must_be(201);
    // Only told apart by what must not be kept: the first answer stands.
    world
        .send(keyed(&owner, "/people", "k", &person("second password")))
        .await
        .must_be(201);
}

#[tokio::test]
async fn unusable_keys_are_refused_by_name() {
    let (world, owner) = world().await;
    let longest = keyed(&owner, "/clusters", &"x".repeat(200), &json!({"name": "longest"}));
    world.send(longest).await.must_be(202);
    for key in ["", "a b", &"x".repeat(201)] {
        let answer = world
            .send(keyed(&owner, "/clusters", key, &json!({"name": "demo"})))
            .await;
        assert_eq!(answer.refused_field(422), "Idempotency-Key");
    }
}
