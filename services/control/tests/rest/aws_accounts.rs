//! Tenants' own AWS accounts: begun with, configured by a role that is proven, and chosen by clusters for good.

use serde_json::{Value, json};
use updraft_store::node_accounts::{self, ReadyAccount};
use updraft_store::{StoreError, aws_accounts as stored};

use crate::aws::Aws;
use crate::fake_sts::{Accounts, open_role, role, role_of_either};
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
    let name = fresh_name();
    let external_id = configured(world, owner, &name).await;
    (name, external_id)
}

fn fresh_name() -> String {
    format!("a{}", &uuid::Uuid::new_v4().simple().to_string()[..20])
}

/// An account that clusters can be in; its external id.
pub(crate) async fn configured(world: &World, owner: &Someone, name: &str) -> String {
    let external_id = begun(world, owner, name).await;
    put(world, owner, name, &config(&role(&external_id)))
        .await
        .must_be(200);
    external_id
}

/// An account whose next external id waits, and whose role asks for it or for the present one. Both are given back.
async fn rotating(world: &World, owner: &Someone, name: &str) -> [String; 2] {
    let external_id = configured(world, owner, name).await;
    let made = next(world, owner, name).await.must_be(200);
    let next = made["next_external_id"].as_str().unwrap().to_owned();
    put(
        world,
        owner,
        name,
        &config(&role_of_either(&[&external_id, &next])),
    )
    .await
    .must_be(200);
    [external_id, next]
}

/// As [`one_of`]: its next external id could be used at once.
pub(crate) async fn rotating_one_of(world: &World, owner: &Someone) -> String {
    let name = fresh_name();
    rotating(world, owner, &name).await;
    name
}

async fn next(world: &World, owner: &Someone, name: &str) -> Answer {
    let path = format!("/aws-accounts/{name}/next-external-id");
    world.post(owner, &path, json!({})).await
}

async fn finish(world: &World, owner: &Someone, name: &str) -> Answer {
    let path = format!("/aws-accounts/{name}/next-external-id/use");
    world.post(owner, &path, json!({})).await
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
async fn a_next_external_id_waits_beside_the_present_one_and_takes_its_place_when_it_is_let_in() {
    let (world, owner) = world(true).await;
    let [present, next_id] = rotating(&world, &owner, "production").await;
    assert!(
        next_id.starts_with("updraft-") && next_id.len() == 40 && next_id != present,
        "{next_id}"
    );
    let again = next(&world, &owner, "production").await.must_be(200);
    assert_eq!(
        again["next_external_id"],
        json!(next_id),
        "whoever asks twice has pasted the first"
    );
    assert_eq!(
        again["external_id"],
        json!(present),
        "nothing uses the next one yet"
    );
    let policy: Value = serde_json::from_str(again["trust_policy"].as_str().unwrap()).unwrap();
    let asked = &policy["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"];
    assert_eq!(*asked, json!([present, next_id]));
    let call = again["terraform"].as_str().unwrap();
    assert!(
        call.contains(&format!("external_id = \"{present}\"")) && call.contains(&next_id),
        "{call}"
    );

    let finished = finish(&world, &owner, "production").await.must_be(200);
    assert_eq!(finished["external_id"], json!(next_id));
    assert_eq!(finished["next_external_id"], json!(null));
    assert!(
        !finished.to_string().contains(&format!("\"{present}\"")),
        "{finished}"
    );
    let twice = finish(&world, &owner, "production").await;
    assert_eq!(twice.problem(409), "no-next-external-id");
    let lines = world.get(&owner, "/audit?action=aws_account.").await.text;
    for action in ["make_next_external_id", "use_next_external_id"] {
        assert!(lines.contains(action), "{lines}");
    }
}

#[tokio::test]
async fn a_next_external_id_that_aws_refuses_leaves_the_present_one_in_use() {
    let (world, owner) = world(true).await;
    let present = configured(&world, &owner, "production").await;
    let path = "/aws-accounts/production";
    let none = finish(&world, &owner, "production").await;
    assert_eq!(none.problem(409), "no-next-external-id");
    let made = next(&world, &owner, "production").await.must_be(200);
    let waits = made["next_external_id"].as_str().unwrap();
    let refused = finish(&world, &owner, "production").await;
    assert_eq!(refused.problem(409), "next-external-id-not-taken");
    assert!(
        refused.text.contains("stays with its present external id") && refused.text.contains(waits),
        "{}",
        refused.text
    );
    let shown = world.get(&owner, path).await.must_be(200);
    assert_eq!(
        (&shown["external_id"], &shown["next_external_id"]),
        (&json!(present), &json!(waits))
    );

    // The check says so, and that nodes can start all the same.
    let found = world
        .post(&owner, &format!("{path}/check"), json!({}))
        .await
        .must_be(200);
    let line = &found["checks"][1];
    assert_eq!(found["ok"], json!(true));
    assert_eq!(
        (&line["name"], &line["ok"], &line["blocks"]),
        (&json!("next external id"), &json!(false), &json!(false))
    );

    // Nor does a role that takes whatever it is told.
    put(&world, &owner, "production", &config(&open_role()))
        .await
        .problem(422);
    assert_eq!(
        delete(&world, &owner, &format!("{path}/next-external-id"))
            .await
            .status,
        204
    );
    let shown = world.get(&owner, path).await.must_be(200);
    assert_eq!(
        (&shown["external_id"], &shown["next_external_id"]),
        (&json!(present), &json!(null))
    );
    let none = delete(&world, &owner, &format!("{path}/next-external-id")).await;
    assert_eq!(none.problem(409), "no-next-external-id");
    let another = next(&world, &owner, "production").await.must_be(200);
    assert_ne!(
        another["next_external_id"],
        json!(waits),
        "one that was dropped does not come back"
    );
}

#[tokio::test]
async fn the_role_may_have_the_next_external_id_alone_by_the_time_it_is_used() {
    let (world, owner) = world(true).await;
    let [_, next_id] = rotating(&world, &owner, "production").await;
    let found = world
        .post(&owner, "/aws-accounts/production/check", json!({}))
        .await
        .must_be(200);
    assert_eq!(found["checks"][1]["ok"], json!(true), "{found}");
    set_role(&world, &owner, "production", &role(&next_id)).await;
    let finished = finish(&world, &owner, "production").await.must_be(200);
    assert_eq!(finished["external_id"], json!(next_id));
    // What is said of the account from now on is proven by it.
    put(&world, &owner, "production", &config(&role(&next_id)))
        .await
        .must_be(200);
}

#[tokio::test]
async fn trust_policies_as_they_are_printed_let_one_in_then_both_then_the_other() {
    let Some(aws) = Aws::open().await else {
        return;
    };
    let (identity, accounts) = (aws.identity().await, Accounts::open(true).await);
    let world = World::with_config(|config| {
        accounts.give(config);
        config.aws = Some(identity);
    })
    .await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let arn = "arn:aws:iam::210987654321:role/updraft-control";
    let is_let_in = async || put(&world, &owner, "production", &config(arn)).await.must_be(200);

    let new = json!({"name": "production"});
    let made = world.post(&owner, "/aws-accounts", new).await.must_be(201);
    aws.trust(arn, &made["trust_policy"]).await;
    is_let_in().await;
    let waiting = next(&world, &owner, "production").await.must_be(200);
    let early = finish(&world, &owner, "production").await;
    assert_eq!(early.problem(409), "next-external-id-not-taken");
    is_let_in().await;
    aws.trust(arn, &waiting["trust_policy"]).await;
    is_let_in().await;
    let finished = finish(&world, &owner, "production").await.must_be(200);
    is_let_in().await;
    aws.trust(arn, &finished["trust_policy"]).await;
    is_let_in().await;
    // The one before is of no use to anybody any more.
    aws.trust(arn, &made["trust_policy"]).await;
    let refused = put(&world, &owner, "production", &config(arn)).await;
    assert_eq!(refused.refused_field(422), "role_arn");
}

#[tokio::test]
async fn what_keeps_the_account_open_opens_it_anew_when_its_external_id_changed_and_not_before() {
    let (world, owner) = world(true).await;
    let [present, next_id] = rotating(&world, &owner, "production").await;
    cluster(&world, &owner, "demo", Some("production"))
        .await
        .must_be(202);
    let before = ready(&world, &owner).await;
    next(&world, &owner, "production").await.must_be(200);
    let waiting = ready(&world, &owner).await;
    assert_eq!(
        (waiting.version, waiting.external_id.as_str()),
        (before.version, present.as_str())
    );
    finish(&world, &owner, "production").await.must_be(200);
    let after = ready(&world, &owner).await;
    assert_eq!((after.version, after.external_id), (before.version + 1, next_id));
}

#[tokio::test]
async fn what_was_proven_is_not_used_once_another_one_waits() {
    let (world, owner) = world(true).await;
    let [present, proven] = rotating(&world, &owner, "production").await;
    let account = ready(&world, &owner).await;
    // Between the proof and its end, somebody else drops it and makes another.
    delete(&world, &owner, "/aws-accounts/production/next-external-id").await;
    next(&world, &owner, "production").await.must_be(200);
    let mut tx = world.tx().await;
    let used = stored::use_next_external_id(&mut tx, owner.tenant, account.id, &proven).await;
    assert!(matches!(used, Err(StoreError::Missing { .. })), "{used:?}");
    drop(tx);
    assert_eq!(ready(&world, &owner).await.external_id, present);
}

#[tokio::test]
async fn an_external_id_is_exchanged_where_a_role_is_known_and_by_owners_of_the_account_alone() {
    let (world, owner) = world(true).await;
    begun(&world, &owner, "production").await;
    let early = next(&world, &owner, "production").await;
    assert_eq!(early.problem(409), "aws-account-not-configured");
    let [_, next_id] = rotating(&world, &owner, "staging").await;
    let away = world.tenant("away").await;
    let stranger = world.owner(away).await;
    next(&world, &stranger, "staging").await.problem(404);
    finish(&world, &stranger, "staging").await.problem(404);
    delete(&world, &stranger, "/aws-accounts/staging/next-external-id")
        .await
        .problem(404);
    // A role that would take somebody else's next one is no role of theirs.
    let theirs = configured(&world, &stranger, "staging").await;
    let refused = put(&world, &stranger, "staging", &config(&role(&next_id))).await;
    assert_eq!(refused.refused_field(422), "role_arn");
    assert!(refused.text.contains(&theirs), "{}", refused.text);
    let made = next(&world, &stranger, "staging").await.must_be(200);
    assert_ne!(made["next_external_id"], json!(next_id));
}

/// As if its owner had changed the role's trust policy: to Updraft it is the same role.
async fn set_role(world: &World, owner: &Someone, name: &str, arn: &str) {
    let mut tx = world.tx().await;
    let account = stored::find(&mut tx, owner.tenant, &name.parse().unwrap()).await;
    let account = account.unwrap().unwrap();
    let mut config = account.config.unwrap();
    arn.clone_into(&mut config.role_arn);
    stored::configure(&mut tx, owner.tenant, account.id, &config)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// What whoever starts nodes in `production` goes by.
async fn ready(world: &World, owner: &Someone) -> ReadyAccount {
    let mut tx = world.tx().await;
    let account = stored::find(&mut tx, owner.tenant, &"production".parse().unwrap()).await;
    let id = account.unwrap().unwrap().id;
    node_accounts::find(&mut tx, id).await.unwrap().unwrap()
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
