//! How nodes prove themselves: a bootstrap token, once, and from the instance alone that control was given for the node.

use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use updraft_control::agents::ClusterCa;
use updraft_control::reconciler::secret;
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, Protocol};
use updraft_store::nodes::{self, NewNode};
use updraft_store::secrets;
use uuid::Uuid;

use crate::environments::Stage;

const TOKEN: &str = "once";
/// Of the node's instance.
const OWN: &str = "i-0123456789abcdef0";

/// A node that the provider was asked for, and has not answered yet.
async fn launching(stage: &Stage) -> NodeId {
    let owner = stage.owner().await;
    let cluster = stage.world.cluster(&owner, "demo").await;
    let mut tx = stage.world.tx().await;
    let key = &stage.world.app.config().master_key;
    let ClusterCa { cert_pem, key_pem } = ClusterCa::generate(cluster).unwrap();
    for (name, value) in [
        (secret::CA_CERTIFICATE, SecretString::from(cert_pem)),
        (secret::CA_KEY, key_pem),
    ] {
        secrets::put(&mut tx, key, cluster, name, &value).await.unwrap();
    }
    let node = new(cluster);
    nodes::intend(&mut tx, &node).await.unwrap();
    let expires = Utc::now() + TimeDelta::minutes(15);
    nodes::begin_launch(&mut tx, node.id, &Sha256::digest(TOKEN), expires)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    node.id
}

fn new(cluster: ClusterId) -> NewNode {
    let id = NodeId(Uuid::now_v7());
    NewNode {
        id,
        cluster,
        role: NodeRole::Worker,
        ordinal: 1,
        queue: None,
        instance_type: None,
        generation: Generation(1),
        request: json!({}),
        client_token: id.to_string(),
    }
}

async fn record(stage: &Stage, node: NodeId) {
    let mut tx = stage.world.tx().await;
    nodes::record_launched(&mut tx, node, OWN, "10.0.0.1")
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// How long a certificate is good for, in days from now.
fn lasts(answer: &Value) -> i64 {
    let pem = answer["cert_pem"].as_str().unwrap();
    let pem = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1;
    let validity = pem.parse_x509().unwrap().validity().clone();
    let now = Utc::now().timestamp();
    assert!(validity.not_before.timestamp() < now - 3600, "clocks differ");
    (validity.not_after.timestamp() - now) / 86_400
}

/// Registers; the identity, if there is one in the answer.
async fn register(
    stage: &Stage,
    node: NodeId,
    token: &str,
    instance: Option<&str>,
) -> (StatusCode, Option<String>) {
    let mut body = json!({
        "node": node, "bootstrap_token": token, "agent_version": "0", "protocol": Protocol::OWN.0,
    });
    if let Some(instance) = instance {
        body["instance"] = json!(instance);
    }
    let (status, answer) = stage.register(body).await;
    let identity = answer.get("node_token").and_then(Value::as_str);
    (status, identity.map(ToOwned::to_owned))
}

#[tokio::test]
async fn an_instance_is_asked_for_its_id_and_no_other_is_taken_for_it() {
    let stage = Stage::of_instances().await;
    let node = launching(&stage).await;
    let refused = |status| (status, None::<String>);
    let (unauthorized, later) = (
        refused(StatusCode::UNAUTHORIZED),
        refused(StatusCode::SERVICE_UNAVAILABLE),
    );
    assert_eq!(register(&stage, node, TOKEN, None).await, unauthorized);
    // It was faster than the provider's answer; and who only guesses is not told to come again.
    assert_eq!(register(&stage, node, TOKEN, Some(OWN)).await, later);
    assert_eq!(register(&stage, node, "guessed", Some(OWN)).await, unauthorized);
    record(&stage, node).await;
    for other in [None, Some("i-0fedcba9876543210"), Some(&OWN[..18]), Some("")] {
        assert_eq!(
            register(&stage, node, TOKEN, other).await,
            unauthorized,
            "{other:?}"
        );
    }
    assert_eq!(register(&stage, node, "guessed", Some(OWN)).await, unauthorized);
    let (status, identity) = register(&stage, node, TOKEN, Some(OWN)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(identity.is_some());
}

#[tokio::test]
async fn where_nodes_are_no_instances_none_is_asked_for() {
    let stage = Stage::new().await;
    let node = launching(&stage).await;
    for said in [None, Some("i-0fedcba9876543210")] {
        let (status, _) = register(&stage, node, TOKEN, said).await;
        assert_eq!(status, StatusCode::OK, "{said:?}");
    }
    assert_eq!(
        register(&stage, node, "guessed", None).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_nodes_certificate_ends_for_agents_that_renew_it_and_they_do_whenever_they_ask() {
    let stage = Stage::new().await;
    let node = launching(&stage).await;
    let asked = |renews: Option<bool>| {
        let mut body = json!({
            "node": node, "bootstrap_token": TOKEN, "agent_version": "0", "protocol": Protocol::OWN.0,
        });
        if let Some(renews) = renews {
            body["renews"] = json!(renews);
        }
        stage.register(body)
    };
    // Of an older release: nobody would renew it.
    let (_, endless) = asked(None).await;
    assert!(
        lasts(&endless) > 10_000 && endless["renew_after_s"].is_null(),
        "{endless}"
    );
    let (_, registered) = asked(Some(true)).await;
    assert!((28..=30).contains(&lasts(&registered)), "{registered}");
    assert_eq!(registered["renew_after_s"], 864_000);

    let token = registered["node_token"].as_str().unwrap();
    let (status, renewed) = stage.post_as(token, "certificate").await;
    assert_eq!(status, StatusCode::OK);
    assert!((28..=30).contains(&lasts(&renewed)), "{renewed}");
    assert_eq!(
        (&renewed["ca_pem"], &renewed["renew_after_s"]),
        (&registered["ca_pem"], &registered["renew_after_s"])
    );
    assert_ne!(renewed["key_pem"], registered["key_pem"], "a key of its own");
    let (status, nothing) = stage.post_as("guessed", "certificate").await;
    assert_eq!((status, nothing), (StatusCode::UNAUTHORIZED, Value::Null));
}

#[tokio::test]
async fn a_token_is_spent_when_the_node_first_speaks_as_itself() {
    let stage = Stage::of_instances().await;
    let node = launching(&stage).await;
    record(&stage, node).await;
    let (_, lost) = register(&stage, node, TOKEN, Some(OWN)).await;
    // Its agent died before the disk had what control answered.
    let (status, kept) = register(&stage, node, TOKEN, Some(OWN)).await;
    assert_eq!(status, StatusCode::OK);
    let (lost, kept) = (lost.unwrap(), kept.unwrap());
    let release = format!("agent/{}", "a".repeat(64));
    assert_eq!(stage.ask_as(&lost, &release).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        stage.ask_as(&kept, &release).await,
        StatusCode::NOT_FOUND,
        "known, and told of no release"
    );
    let (status, stolen) = register(&stage, node, TOKEN, Some(OWN)).await;
    assert_eq!((status, stolen), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(stage.ask_as(&kept, &release).await, StatusCode::NOT_FOUND);
}
