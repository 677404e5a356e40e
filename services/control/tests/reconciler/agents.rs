//! Another agent's way to the nodes.

use updraft_api::agent::{AgentStanding, RefusedAgent};
use updraft_model::{OperationKind, Phase, Power, Protocol};
use updraft_provider::simulated::Faults;
use updraft_store::agent_rollouts::{self, Progress};

use crate::stage::Stage;

const BREAKS_WEB_NODES: &str = "breaks-web-nodes";

/// Agents do as they are told, and say so; one release does not run on web nodes.
pub(crate) fn standing(wanted: Option<String>, role: &str) -> AgentStanding {
    let breaks = wanted.as_deref() == Some(BREAKS_WEB_NODES) && role == "web";
    let refused = breaks.then(|| RefusedAgent {
        release: BREAKS_WEB_NODES.to_owned(),
        attempt: 1,
        why: "It hangs.".to_owned(),
    });
    AgentStanding {
        protocol: Protocol::OWN,
        release: wanted.filter(|_| !breaks).or_else(|| Some("old".to_owned())),
        refused,
    }
}

async fn progress(stage: &Stage, release: &str) -> Progress {
    let mut connection = stage.store().connection().await.unwrap();
    agent_rollouts::progress(&mut connection, release).await.unwrap()
}

async fn times_told(stage: &Stage) -> i64 {
    let mut connection = stage.store().connection().await.unwrap();
    let told =
        sqlx::query_scalar("select count(distinct agent_told_at) from nodes where agent_told_at is not null");
    told.fetch_one(&mut *connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_run_get_another_agent_one_after_the_other() {
    let stage = Stage::new(Faults::default()).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run_with_agent("new");
    stage
        .until("all have it", async || progress(&stage, "new").await.done == 3)
        .await;
    assert_eq!(times_told(&stage).await, 3);
    assert_eq!(stage.events("agent_not_replaced").await, 0);
    stage.reaches(&Phase::Running).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_where_it_does_not_run_is_the_last_that_is_told() {
    let stage = Stage::new(Faults::default()).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    let running = stage.run_with_agent(BREAKS_WEB_NODES);
    let told = async || stage.events("agent_not_replaced").await == 1;
    stage.until("people are told", told).await;
    running.end().await;
    let done = progress(&stage, BREAKS_WEB_NODES).await.done;
    assert_eq!(times_told(&stage).await, done + 1);
    // Whoever comes next tells nobody.
    let running = stage.run_with_agent(BREAKS_WEB_NODES);
    stage.reaches(&Phase::Running).await;
    running.end().await;
    assert_eq!(times_told(&stage).await, done + 1);
}
