//! Tenants' own AWS accounts: begun with, configured by a role that is proven, and chosen by clusters for good.

use serde_json::{Value, json};

use crate::fake_sts::{Accounts, open_role, role};
use crate::support::{Answer, Someone, World, request};

/// `shared`: whether tenants may have nodes in the installation's own account.
async fn world(shared: bool) -> (World, Someone) {
    let accounts = Accounts::open(shared).await;
    let world = World::with_config(|config| accounts.give(config)).await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, owner)
}

pub(crate) fn config(role_arn: &str) -> Value {
    json!({"role_arn": role_arn, "region": "eu-central-1", "subnets": ["subnet-0a1b2c3d"], "instance_profile": "node"})
}

async fn begun(world: &World, owner: &Someone, name: &str) -> String {
    let made = world.post(owner, "/aws-accounts", json!({"name": name})).await;
    made.must_be(201)["external_id"].as_str().unwrap().to_owned()
}

async fn put(world: &World, owner: &Someone, name: &str, config: &Value) -> Answer {
    let asked = request("PUT", &format!("/aws-accounts/{name}")).bearer(owner);
    world.send(asked.json(config)).await
}

/// A configured account of the owner's tenant and its external id, for whoever tries all operations.
pub(crate) async fn one_of(world: &World, owner: &Someone) -> (String, String) {
    let name = format!("a{}", &uuid::Uuid::new_v4().simple().to_string()[..20]);
    let external_id = configured(world, owner, &name).await;
    (name, external_id)
}

/// An account that clusters can be in; its external id.
pub(crate) async fn configured(world: &World, owner: &Someone, name: &str) -> String {
    let external_id = begun(world, owner, name).await;
    put(world, owner, name, &config(&role(&external_id)))
        .await
        .must_be(200);
    external_id
}

async fn delete(world: &World, owner: &Someone, path: &str) -> Answer {
    world.send(request("DELETE", path).bearer(owner).empty()).await
}

async fn cluster(world: &World, owner: &Someone, name: &str, account: Option<&str>) -> Answer {
    let mut new = json!({"name": name, "start": false});
    if let Some(account) = account {
        new["aws_account"] = account.into();
    }
    world.post(owner, "/clusters", new).await
}

#[tokio::test]
async fn an_account_has_an_external_id_that_nobody_chose_and_nobody_changes() {
    let (world, owner) = world(true).await;
    let first = begun(&world, &owner, "production").await;
    assert!(first.starts_with("updraft-") && first.len() == 40, "{first}");
    assert_ne!(begun(&world, &owner, "staging").await, first);
    let chosen = json!({"name": "third", "external_id": first});
    world.post(&owner, "/aws-accounts", chosen).await.problem(422);
    let mut changed = config(&role(&first));
    changed["external_id"] = json!("updraft-0");
    put(&world, &owner, "production", &changed).await.problem(422);
    put(&world, &owner, "production", &config(&role(&first)))
        .await
        .must_be(200);
    let shown = world.get(&owner, "/aws-accounts/production").await.must_be(200);
    assert_eq!(shown["external_id"], json!(first));
    assert!(shown["trust_policy"].as_str().unwrap().contains(&first));
    assert_eq!(shown["principal"], json!(crate::aws::PRINCIPAL));
}

#[tokio::test]
async fn only_a_role_that_asks_for_this_accounts_external_id_is_taken() {
    let (world, owner) = world(true).await;
    let ours = begun(&world, &owner, "production").await;
    let away = world.tenant("away").await;
    let stranger = world.owner(away).await;
    configured(&world, &stranger, "theirs").await;
    let theirs = world.get(&stranger, "/aws-accounts/theirs").await.must_be(200);
    for (arn, why) in [
        (
            theirs["config"]["role_arn"].as_str().unwrap(),
            "does not let Updraft assume",
        ),
        (&open_role(), "without its external id"),
        (
            "arn:aws:iam::123456789012:role/updraft-storage",
            "Updraft's own account",
        ),
        ("updraft-control", "arn:aws:iam"),
    ] {
        let refused = put(&world, &owner, "production", &config(arn)).await;
        assert_eq!(refused.refused_field(422), "role_arn", "{}", refused.text);
        assert!(refused.text.contains(why), "{arn}: {}", refused.text);
    }
    put(&world, &owner, "production", &config(&role(&ours)))
        .await
        .must_be(200);
}

#[tokio::test]
async fn what_is_the_installations_to_say_is_refused_by_name() {
    let (world, owner) = world(true).await;
    let external_id = begun(&world, &owner, "production").await;
    for (field, value) in [
        ("endpoint", json!("http://169.254.169.254/")),
        ("archives", json!([])),
        ("artifacts", json!({"bucket": "b", "region": "r"})),
        ("installation", json!("other")),
        ("node_keys", json!("shared")),
    ] {
        let mut said = config(&role(&external_id));
        said[field] = value;
        let refused = put(&world, &owner, "production", &said).await;
        refused.problem(422);
        assert!(refused.text.contains(field), "{}", refused.text);
    }
    let mut said = config(&role(&external_id));
    said["subnets"] = json!([]);
    let refused = put(&world, &owner, "production", &said).await;
    assert_eq!(refused.refused_field(422), "subnets");
}

#[tokio::test]
async fn a_cluster_is_in_the_account_that_it_was_made_in_and_keeps_it() {
    let (world, owner) = world(true).await;
    configured(&world, &owner, "production").await;
    configured(&world, &owner, "staging").await;
    let made = cluster(&world, &owner, "demo", Some("production"))
        .await
        .must_be(202);
    assert_eq!(made["cluster"]["spec"]["aws_account"], "production");
    let id = made["cluster"]["id"].as_i64().unwrap();
    for (account, status) in [("staging", 422), ("production", 202)] {
        let asked = request("PATCH", &format!("/clusters/{id}")).bearer(&owner);
        let answer = world
            .send(
                asked
                    .header("if-match", "\"1\"")
                    .json(&json!({"aws_account": account})),
            )
            .await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    }
    let refused = delete(&world, &owner, "/aws-accounts/production").await;
    assert_eq!(refused.problem(409), "aws-account-in-use");
    assert!(refused.text.contains("demo"), "{}", refused.text);
    let listed = world.get(&owner, "/aws-accounts").await.must_be(200);
    assert_eq!(listed["items"][0]["used_by"], json!(["demo"]));
    assert_eq!(delete(&world, &owner, "/aws-accounts/staging").await.status, 204);
    world.get(&owner, "/aws-accounts/staging").await.problem(404);
}

#[tokio::test]
async fn an_account_does_not_move_under_its_clusters() {
    let (world, owner) = world(true).await;
    let external_id = configured(&world, &owner, "production").await;
    cluster(&world, &owner, "demo", Some("production"))
        .await
        .must_be(202);
    let mut moved = config(&role(&external_id));
    moved["region"] = json!("us-east-1");
    let refused = put(&world, &owner, "production", &moved).await;
    assert_eq!(refused.refused_field(422), "region");
    let mut other_subnets = config(&role(&external_id));
    other_subnets["subnets"] = json!(["subnet-1a1b2c3d"]);
    put(&world, &owner, "production", &other_subnets)
        .await
        .must_be(200);
}

#[tokio::test]
async fn a_cluster_without_a_named_account_goes_where_the_installation_says() {
    let (world, owner) = self::world(true).await;
    configured(&world, &owner, "production").await;
    let shared = cluster(&world, &owner, "shared", None).await.must_be(202);
    assert_eq!(shared["cluster"]["spec"].get("aws_account"), None);

    let (world, owner) = self::world(false).await;
    let none = cluster(&world, &owner, "none", None).await;
    assert_eq!(none.refused_field(422), "aws_account");
    assert!(none.text.contains("updraft aws-account create"), "{}", none.text);
    begun(&world, &owner, "production").await;
    let unready = cluster(&world, &owner, "unready", None).await;
    assert!(
        unready.text.contains("updraft aws-account update"),
        "{}",
        unready.text
    );
    let external_id = world.get(&owner, "/aws-accounts/production").await.must_be(200);
    let arn = role(external_id["external_id"].as_str().unwrap());
    put(&world, &owner, "production", &config(&arn))
        .await
        .must_be(200);
    let only = cluster(&world, &owner, "only", None).await.must_be(202);
    assert_eq!(only["cluster"]["spec"]["aws_account"], "production");
    configured(&world, &owner, "staging").await;
    let several = cluster(&world, &owner, "several", None).await;
    assert_eq!(several.refused_field(422), "aws_account");
}

#[tokio::test]
async fn another_tenants_account_is_none() {
    let (world, owner) = world(true).await;
    configured(&world, &owner, "production").await;
    let away = world.tenant("away").await;
    let stranger = world.owner(away).await;
    let refused = cluster(&world, &stranger, "demo", Some("production")).await;
    assert_eq!(refused.refused_field(422), "aws_account");
    world
        .get(&stranger, "/aws-accounts/production")
        .await
        .problem(404);
    delete(&world, &stranger, "/aws-accounts/production")
        .await
        .problem(404);
    let listed = world.get(&stranger, "/aws-accounts").await.must_be(200);
    assert_eq!(listed["items"], json!([]));
    // The name is free there.
    configured(&world, &stranger, "production").await;
}

#[tokio::test]
async fn an_account_is_looked_at_once_something_is_said_of_it() {
    let (world, owner) = world(true).await;
    let external_id = begun(&world, &owner, "production").await;
    let path = "/aws-accounts/production/check";
    let early = world.post(&owner, path, json!({})).await;
    assert_eq!(early.problem(409), "aws-account-not-configured");
    put(&world, &owner, "production", &config(&role(&external_id)))
        .await
        .must_be(200);
    let found = world.post(&owner, path, json!({})).await.must_be(200);
    assert_eq!(
        (&found["ok"], &found["checks"][0]["name"]),
        (&json!(true), &json!("subnets"))
    );
}

#[tokio::test]
async fn what_is_to_be_pasted_allows_what_queues_of_clusters_there_run_on() {
    let accounts = Accounts::open(true).await;
    let world = World::with_config(|config| {
        accounts.give(config);
        config.instance_types = true;
    })
    .await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    for name in ["production", "staging"] {
        configured(&world, &owner, name).await;
    }
    let queues = json!([{"name": "gpu", "min": 1, "max": 1, "instance_type": "p4d.24xlarge"}]);
    let new = json!({"name": "demo", "start": false, "aws_account": "production", "worker_queues": queues});
    world.post(&owner, "/clusters", new).await.must_be(202);
    for (name, allowed) in [("production", true), ("staging", false)] {
        let shown = world
            .get(&owner, &format!("/aws-accounts/{name}"))
            .await
            .must_be(200);
        for text in [&shown["permissions_policy"], &shown["terraform"]] {
            assert_eq!(
                text.as_str().unwrap().contains("p4d.*"),
                allowed,
                "{name}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn without_tunnels_or_an_identity_there_are_no_accounts() {
    let world = World::with_config(|_| {}).await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let refused = world
        .post(&owner, "/aws-accounts", json!({"name": "production"}))
        .await;
    assert_eq!(refused.problem(409), "no-aws-accounts");
    let refused = cluster(&world, &owner, "demo", Some("production")).await;
    assert_eq!(refused.refused_field(422), "aws_account");
}
