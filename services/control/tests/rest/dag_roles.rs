//! Buckets that DAGs and scripts are read from, opened by a role of the tenant's account: taken once the role lets Updraft in, and
//! when it no longer does, its tenant hears why.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use updraft_store::Channel;

use crate::aws::Aws;
use crate::dags::Nodes;
use crate::log_roles::{let_it_end_in, made, session, world};
use crate::support::{Answer, Someone, World, request};

const ROLE: &str = "arn:aws:iam::210987654321:role/airflow-dags";
/// As the tests of log buckets call it.
const NAME: &str = "logs";

fn source(credential: &str) -> Value {
    json!({"folder": "team_a", "source": {
        "kind": "s3", "bucket": "acme-dags", "region": "eu-west-1", "credential": credential}})
}

fn script(credential: &str) -> Value {
    json!({"script": {
        "kind": "s3", "bucket": "acme-dags", "key": "boot.sh", "region": "eu-west-1", "credential": credential}})
}

async fn change(world: &World, owner: &Someone, change: Value) -> Answer {
    let cluster = world.get(owner, "/clusters/1").await.must_be(200);
    let asked = request("PATCH", "/clusters/1").bearer(owner);
    let asked = asked.header("if-match", &format!("\"{}\"", cluster["generation"]));
    world.send(asked.json(&change)).await
}

async fn events(world: &World, owner: &Someone, kind: &str) -> Vec<String> {
    let page = world.get(owner, "/clusters/1/events").await.must_be(200);
    let items = page["items"].as_array().unwrap().iter();
    let of_kind = items.filter(|event| event["kind"] == kind);
    of_kind
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_source_and_a_script_are_taken_once_their_role_lets_updraft_in() {
    let Some(aws) = Aws::open().await else { return };
    let (world, owner) = world(aws.identity().await).await;
    let id = made(&world, &owner, NAME, ROLE).await;
    for (field, asked) in [
        (
            "dag_sources[0].source.credential",
            json!({"dag_sources": [source(NAME)]}),
        ),
        ("bootstrap.script.credential", json!({"bootstrap": script(NAME)})),
    ] {
        let refused = change(&world, &owner, asked).await;
        assert!(refused.text.contains("trust policy"), "{}", refused.text);
        assert_eq!(refused.refused_field(422), field);
    }
    let new = json!({"name": "other", "dag_sources": [source(NAME)]});
    let refused = world.post(&owner, "/clusters", new.clone()).await;
    assert_eq!(refused.refused_field(422), "dag_sources[0].source.credential");
    assert!(session(&world, &owner).await.is_null());

    aws.role(ROLE, Some(&id)).await;
    let before = aws.asked().await;
    let asked = json!({"dag_sources": [source(NAME)], "bootstrap": script(NAME)});
    let taken = change(&world, &owner, asked).await;
    let token = session(&world, &owner).await["session_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!taken.text.contains(&token), "{}", taken.text);
    taken.must_be(202);
    assert_eq!(
        aws.asked().await,
        before + 2,
        "named twice, tried once: with the external id and without"
    );
    world.post(&owner, "/clusters", new).await.must_be(202);
}

#[tokio::test]
async fn a_role_is_for_buckets_alone() {
    let (world, owner) = world(crate::aws::unasked()).await;
    let name = "github";
    let config = json!({"kind": "git_token", "host": "github.com"});
    let token = json!({"name": name, "config": config, "secret": "x"});
    world.post(&owner, "/credentials", token).await.must_be(201);
    let refused = change(&world, &owner, json!({"dag_sources": [source(name)]})).await;
    assert!(refused.text.contains("`aws_role`"), "{}", refused.text);
    assert_eq!(refused.refused_field(422), "dag_sources[0].source.credential");
    let refused = change(&world, &owner, json!({"bootstrap": script(name)})).await;
    assert_eq!(refused.refused_field(422), "bootstrap.script.credential");
}

#[tokio::test]
async fn a_role_that_was_taken_back_is_told_at_the_source_and_by_an_event_until_it_is_given_back() {
    let Some(aws) = Aws::open().await else { return };
    let (world, owner) = world(aws.identity().await).await;
    let id = made(&world, &owner, NAME, ROLE).await;
    aws.role(ROLE, Some(&id)).await;
    let asked = json!({"dag_sources": [source(NAME)]});
    change(&world, &owner, asked).await.must_be(202);
    let nodes = Nodes::of(&world, updraft_model::ClusterId(1)).await;
    let says = async |trouble: Value| {
        let sources = json!([{"folder": "team_a", "trouble": trouble}]);
        let words =
            json!({"live_since": null, "published": null, "parsed": null, "sources": sources, "synced": 1});
        nodes.report(nodes.scheduler, "", words).await;
        let state = world.get(&owner, "/clusters/1/dags").await.must_be(200);
        state["sources"][0]["trouble"].clone()
    };

    let_it_end_in(&world, &owner, 29).await;
    for _ in 0..2 {
        aws.refuse().await;
        assert_eq!(world.app.renew_roles().await.unwrap().len(), 1);
    }
    let told = events(&world, &owner, "role_refused").await;
    assert_eq!(told.len(), 1, "{told:?}");
    for word in [NAME, ROLE, "AccessDenied", "trust policy", "session", "UTC"] {
        assert!(told[0].contains(word), "{word} in {}", told[0]);
    }
    let credentials = world.get(&owner, "/credentials").await.must_be(200);
    let refusal = credentials["items"][0]["refusal"].as_str().unwrap().to_owned();
    assert!(refusal.contains("AccessDenied"), "{refusal}");
    assert!(says(json!(null)).await.is_null(), "its session still reads");
    let reason = says(json!("list the DAG source: ExpiredToken")).await;
    let reason = reason.as_str().unwrap();
    assert!(
        reason.starts_with(&refusal) && reason.contains("ExpiredToken"),
        "{reason}"
    );

    let mut announced = world.database.store().listen(&[Channel::Clusters]).await.unwrap();
    assert!(world.app.renew_roles().await.unwrap().is_empty());
    let heard = timeout(Duration::from_secs(10), announced.next()).await.unwrap();
    assert_eq!(heard.unwrap().unwrap().1, "1", "whose nodes wait for the session");
    assert_eq!(events(&world, &owner, "role_assumed").await.len(), 1);
    let reason = says(json!("50000 files")).await;
    assert_eq!(reason, "50000 files", "it is not the role's any more");
    let credentials = world.get(&owner, "/credentials").await.must_be(200);
    assert!(credentials["items"][0]["refusal"].is_null());
}

#[tokio::test]
async fn aws_out_of_reach_is_told_when_little_of_a_session_is_left() {
    let Some(aws) = Aws::open().await else { return };
    let (world, owner) = world(aws.identity().await).await;
    let id = made(&world, &owner, NAME, ROLE).await;
    aws.role(ROLE, Some(&id)).await;
    let asked = json!({"dag_sources": [source(NAME)]});
    change(&world, &owner, asked).await.must_be(202);
    drop(aws);
    let_it_end_in(&world, &owner, 29).await;
    assert_eq!(world.app.renew_roles().await.unwrap().len(), 1);
    assert!(events(&world, &owner, "role_refused").await.is_empty());
    let_it_end_in(&world, &owner, 14).await;
    assert_eq!(world.app.renew_roles().await.unwrap().len(), 1);
    let told = events(&world, &owner, "role_refused").await;
    assert_eq!(told.len(), 1, "{told:?}");
}
