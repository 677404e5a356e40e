//! Logs in a tenant's own bucket, opened by a role of the tenant's account: no key is kept, and nobody else's role is taken.

use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use updraft_app::AwsIdentity;
use updraft_model::{ClusterId, CredentialName};
use updraft_store::{credentials, role_sessions};

use crate::aws::{self, Aws, PRINCIPAL};
use crate::fake_bucket::give_storage;
use crate::logs::set_logs;
use crate::support::{Answer, Someone, World, request};

const ROLE: &str = "arn:aws:iam::210987654321:role/airflow-logs";

pub(crate) async fn world(identity: AwsIdentity) -> (World, Someone) {
    let world = World::with_config(|config| config.aws = Some(identity)).await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let cluster: ClusterId = world.cluster(&owner, "demo").await;
    give_storage(&world, cluster).await;
    (world, owner)
}

pub(crate) fn role(name: &str, arn: &str) -> Value {
    json!({"name": name, "config": {"kind": "aws_role", "role_arn": arn}})
}

fn bucket(credential: &str) -> Value {
    json!({"bucket": {"bucket": "acme-logs", "region": "eu-west-1", "credential": credential}})
}

/// Makes the credential; its external id.
pub(crate) async fn made(world: &World, owner: &Someone, name: &str, arn: &str) -> String {
    let made = world
        .post(owner, "/credentials", role(name, arn))
        .await
        .must_be(201);
    made["config"]["external_id"].as_str().unwrap().to_owned()
}

fn why(answer: &Answer) -> &str {
    assert_eq!(
        answer.refused_field(422),
        "logs.bucket.credential",
        "{}",
        answer.text
    );
    &answer.text
}

/// What is kept of the role.
pub(crate) async fn session(world: &World, owner: &Someone) -> Value {
    let mut tx = world.tx().await;
    let key = &world.app.config().master_key;
    let name: CredentialName = "logs".parse().unwrap();
    let opened = credentials::open(&mut tx, key, owner.tenant, &name)
        .await
        .unwrap();
    serde_json::from_str(opened.unwrap().secret.expose_secret()).unwrap()
}

/// The session has so many minutes left.
pub(crate) async fn let_it_end_in(world: &World, owner: &Someone, minutes: i64) {
    let mut kept = session(world, owner).await;
    kept["expires_at"] = json!(Utc::now() + TimeDelta::minutes(minutes));
    let kept = SecretString::from(kept.to_string());
    let mut tx = world.tx().await;
    let (key, name) = (&world.app.config().master_key, "logs".parse().unwrap());
    let opened = credentials::open(&mut tx, key, owner.tenant, &name)
        .await
        .unwrap()
        .unwrap();
    role_sessions::keep(&mut tx, key, owner.tenant, &name, (&opened.config, &kept))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_role_is_shown_with_the_trust_policy_that_lets_updraft_in_and_nobody_chooses_its_external_id() {
    let (world, owner) = world(aws::unasked()).await;
    let made = world
        .post(&owner, "/credentials", role("logs", ROLE))
        .await
        .must_be(201);
    let id = made["config"]["external_id"].as_str().unwrap();
    let policy: Value = serde_json::from_str(made["trust_policy"].as_str().unwrap()).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Principal"]["AWS"], PRINCIPAL);
    assert_eq!(statement["Condition"]["StringEquals"]["sts:ExternalId"], id);
    let listed = world.get(&owner, "/credentials").await.must_be(200);
    assert_eq!(listed["items"][0], made);
    for (field, config, secret) in [
        (
            "config.external_id",
            json!({"role_arn": ROLE, "external_id": id}),
            json!(null),
        ),
        (
            "config.role_arn",
            json!({"role_arn": "arn:aws:iam::1:role/x"}),
            json!(null),
        ),
        ("secret", json!({"role_arn": ROLE}), json!("x")),
    ] {
        let mut new = json!({"name": "other", "config": config, "secret": secret});
        new["config"]["kind"] = json!("aws_role");
        let refused = world.post(&owner, "/credentials", new).await;
        assert_eq!(refused.refused_field(422), field);
    }
}

#[tokio::test]
async fn an_installation_that_is_nobody_at_aws_offers_no_roles() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let refused = world.post(&owner, "/credentials", role("logs", ROLE)).await;
    assert!(refused.text.contains("--aws-identity"), "{}", refused.text);
    assert_eq!(refused.refused_field(422), "config.kind");
}

#[tokio::test]
async fn a_bucket_is_taken_once_its_role_asks_for_the_external_id_and_gets_it() {
    let Some(aws) = Aws::open().await else { return };
    let (world, owner) = world(aws.identity().await).await;
    let id = made(&world, &owner, "logs", ROLE).await;
    let (others, open) = (format!("{ROLE}-of-others"), format!("{ROLE}-for-all"));
    made(&world, &owner, "others", &others).await;
    made(&world, &owner, "open", &open).await;
    aws.role(&others, Some("updraft-00000000000000000000000000000000"))
        .await;
    aws.role(&open, None).await;

    let none_yet = set_logs(&world, &owner, bucket("logs")).await;
    let none_yet = why(&none_yet);
    for told in ["AccessDenied", "trust policy", ROLE, PRINCIPAL, &id] {
        assert!(none_yet.contains(told), "{told} in {none_yet}");
    }
    let others = set_logs(&world, &owner, bucket("others")).await;
    assert!(why(&others).contains("AccessDenied"), "{}", others.text);
    let open = set_logs(&world, &owner, bucket("open")).await;
    assert!(why(&open).contains("without its external id"), "{}", open.text);
    assert!(world.logs.sessions().is_empty());

    aws.role(ROLE, Some(&id)).await;
    let set = set_logs(&world, &owner, bucket("logs")).await;
    let token = session(&world, &owner).await["session_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!set.text.contains(&token), "{}", set.text);
    set.must_be(202);
    assert_eq!(world.logs.sessions().last(), Some(&token));
    let read = world.get(&owner, "/clusters/1/logs").await;
    assert_eq!(read.must_be(200)["lines"], json!([]));
    for path in ["/credentials", "/audit"] {
        let shown = world.get(&owner, path).await;
        assert!(!shown.text.contains(&token), "{path}: {}", shown.text);
    }
}

#[tokio::test]
async fn a_session_is_renewed_half_an_hour_before_its_end_and_stays_when_the_role_is_taken_back() {
    let Some(aws) = Aws::open().await else { return };
    let (world, owner) = world(aws.identity().await).await;
    let id = made(&world, &owner, "logs", ROLE).await;
    aws.role(ROLE, Some(&id)).await;
    assert!(world.app.renew_roles().await.unwrap().is_empty());
    assert_eq!(aws.asked().await, 0, "no cluster names it");
    set_logs(&world, &owner, bucket("logs")).await.must_be(202);
    let first = session(&world, &owner).await;
    let asked = aws.asked().await;

    let_it_end_in(&world, &owner, 31).await;
    assert!(world.app.renew_roles().await.unwrap().is_empty());
    assert_eq!(aws.asked().await, asked);
    let_it_end_in(&world, &owner, 29).await;
    assert!(world.app.renew_roles().await.unwrap().is_empty());
    let second = session(&world, &owner).await;
    assert_ne!(second["session_token"], first["session_token"]);
    world.get(&owner, "/clusters/1/logs").await.must_be(200);
    let reader = world.logs.sessions().last().cloned();
    assert_eq!(reader.as_deref(), second["session_token"].as_str());

    let_it_end_in(&world, &owner, 29).await;
    aws.refuse().await;
    let refused = world.app.renew_roles().await.unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        session(&world, &owner).await["session_token"],
        second["session_token"]
    );
    assert!(
        world.app.renew_roles().await.unwrap().is_empty(),
        "it was given back"
    );
}

#[tokio::test]
async fn another_role_in_its_place_keeps_the_external_id_and_is_tried_first() {
    let Some(aws) = Aws::open().await else { return };
    let (world, owner) = world(aws.identity().await).await;
    let id = made(&world, &owner, "logs", ROLE).await;
    aws.role(ROLE, Some(&id)).await;
    set_logs(&world, &owner, bucket("logs")).await.must_be(202);
    let first = session(&world, &owner).await;
    let other = format!("{ROLE}-new");
    let replace = async || {
        let asked = request("PUT", "/credentials/logs").bearer(&owner);
        let config = json!({"config": {"kind": "aws_role", "role_arn": other}});
        world.send(asked.json(&config)).await
    };
    assert_eq!(replace().await.refused_field(422), "config.role_arn");
    assert_eq!(
        session(&world, &owner).await,
        first,
        "clusters go on as they were"
    );
    aws.role(&other, Some(&id)).await;
    let replaced = replace().await.must_be(200);
    assert_eq!(replaced["config"]["role_arn"], other.as_str());
    assert_eq!(replaced["config"]["external_id"], id.as_str());
    assert_ne!(
        session(&world, &owner).await["session_token"],
        first["session_token"]
    );
}
