//! What agents of other versions and of other releases are answered.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use updraft_control::agents::{AgentArchive, AgentRelease};
use updraft_model::Protocol;
use updraft_store::agent_rollouts;

use crate::environments::Stage;

/// What real agents of version 1 said and were told.
fn recorded(name: &str) -> Value {
    let path = format!(
        "{}/../api/tests/protocol-1/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

struct Elsewhere;

#[async_trait]
impl AgentArchive for Elsewhere {
    async fn address(&self) -> Result<SecretString, String> {
        Ok("https://artifacts/agent".into())
    }
}

pub(crate) fn release() -> AgentRelease {
    AgentRelease {
        sha256: "b".repeat(64),
        archive: Arc::new(Elsewhere),
    }
}

#[tokio::test]
async fn an_agent_of_version_1_is_told_all_that_it_knows_and_its_reports_are_taken() {
    let stage = Stage::new().await;
    let owner = stage.owner().await;
    let agent = stage.cluster(&owner, "one", json!({})).await;
    let (status, told) = stage.ask(&agent, "assignment?after=0", None).await;
    assert_eq!(status, StatusCode::OK);
    let old = recorded("assignment-scheduler");
    for (new, old) in [(&told, &old), (&told["services"][0], &old["services"][0])] {
        for (field, value) in old.as_object().unwrap() {
            assert!(value.is_null() || !new[field].is_null(), "{field}: {new}");
        }
    }
    assert!(told.get("agent").is_none(), "it would not know what is meant");

    let mut report = recorded("report-scheduler");
    report["node"] = json!(agent.node);
    let (status, _) = stage.ask(&agent, "report", Some(report)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let path = format!("/clusters/{}/nodes", agent.cluster);
    let nodes = stage.world.get(&owner, &path).await.must_be(200);
    assert_eq!(
        nodes["items"][0]["agent"],
        json!({"version": "0.1.0", "protocol": 1, "release": null})
    );
}

#[tokio::test]
async fn neighbours_are_served_and_others_are_told_who_is_to_be_upgraded_first() {
    let stage = Stage::new().await;
    let owner = stage.owner().await;
    let agent = stage.cluster(&owner, "one", json!({})).await;
    let own = Protocol::OWN.0;
    for near in [own - 1, own, own + 1] {
        let (status, _) = stage.ask_in(near, &agent, "assignment?after=0", None).await;
        assert_eq!(status, StatusCode::OK, "{near}");
    }
    let (status, problem) = stage.ask_in(own + 2, &agent, "assignment?after=0", None).await;
    assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(problem["type"], "urn:updraft:problem:protocol-too-far-apart");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("upgrade this side first"), "{detail}");

    let mut register = recorded("register");
    register["protocol"] = json!(0);
    let (status, problem) = stage.ask(&agent, "register", Some(register)).await;
    assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
    assert!(
        problem["detail"].as_str().unwrap().contains("upgrade it first"),
        "{problem}"
    );
}

#[tokio::test]
async fn the_archive_is_for_nodes_that_were_told_to_run_it() {
    let stage = Stage::new().await;
    let owner = stage.owner().await;
    let (told, other) = (
        stage.cluster(&owner, "one", json!({})).await,
        stage.cluster(&owner, "two", json!({})).await,
    );
    let release = release().sha256;
    let mut tx = stage.world.tx().await;
    agent_rollouts::hold(&mut tx, &release).await.unwrap();
    agent_rollouts::tell(&mut tx, &release, &[told.node])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (_, assignment) = stage.ask(&told, "assignment?after=0", None).await;
    let wanted = json!({"release": release, "attempt": 1, "prove_within_s": 45});
    assert_eq!(assignment["agent"], wanted);

    let path = format!("agent/{release}");
    let (status, offer) = stage.ask(&told, &path, None).await;
    assert_eq!(
        (status, &offer["url"]),
        (StatusCode::OK, &json!("https://artifacts/agent"))
    );
    let (status, _) = stage.ask(&other, &path, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = stage.ask(&told, &format!("agent/{}", "a".repeat(64)), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    // It could not: nobody else is told, and people see why.
    let mut report = recorded("report-scheduler");
    report["node"] = json!(told.node);
    let refused = json!({"release": release, "attempt": 1, "why": "It hangs."});
    report["agent"] = json!({"protocol": 2, "release": "a".repeat(64), "refused": refused});
    let (status, _) = stage.ask(&told, "report", Some(report)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let mut tx = stage.world.tx().await;
    let rollout = agent_rollouts::hold(&mut tx, &release).await.unwrap();
    assert_eq!(rollout.stopped.unwrap().why, "It hangs.");
    tx.commit().await.unwrap();
    let nodes = stage.world.get(&owner, "/clusters/1/nodes").await.must_be(200);
    assert_eq!(nodes["items"][0]["agent"]["not_replaced"], "It hangs.");
    let events = stage.world.get(&owner, "/clusters/1/events").await.must_be(200);
    let kinds: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["kind"])
        .collect();
    assert!(kinds.contains(&&json!("agent_not_replaced")), "{kinds:?}");
}
