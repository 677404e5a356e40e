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

#[tokio::test(flavor = "multi_thread")]
async fn a_node_where_it_does_not_run_stops_it_for_its_own_cluster_alone_where_others_have_nodes() {
    let stage = Stage::new(Faults::default()).await;
    stage.ask(OperationKind::Start, Power::Running).await;
    // Another tenant has a node, which somebody else looks after.
    stage
        .execute(
            "insert into tenants (id, name) values (gen_random_uuid(), 'other');
             insert into clusters (tenant_id, name, spec, power, lease_owner, lease_until)
                 select t.id, 'theirs', c.spec, 'running', gen_random_uuid(), 'infinity' from tenants t, clusters c where t.name = 'other';
             insert into nodes (id, cluster_id, role, ordinal, generation, state, request, client_token)
                 select gen_random_uuid(), id, 'worker', 1, 1, 'launched', '{}', 'theirs' from clusters where name = 'theirs'",
        )
        .await;
    let running = stage.run_with_agent(BREAKS_WEB_NODES);
    let told = async || stage.events("agent_not_replaced").await == 1;
    stage.until("people are told", told).await;
    running.end().await;
    let mut connection = stage.store().connection().await.unwrap();
    let of = (BREAKS_WEB_NODES, 1);
    let failed = agent_rollouts::failures(&mut connection, of).await.unwrap();
    assert_eq!(
        failed.iter().map(|one| one.cluster).collect::<Vec<_>>(),
        [stage.cluster]
    );
    let rollout = agent_rollouts::hold(&mut connection, BREAKS_WEB_NODES)
        .await
        .unwrap();
    assert_eq!(rollout.stopped, None, "one tenant's node stopped it for all");
    assert!(
        agent_rollouts::under_way(&mut connection, of)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        agent_rollouts::next(&mut connection, of, 9, None)
            .await
            .unwrap()
            .is_empty()
    );
    // Asked for again, the cluster that was left gets its turn.
    assert!(
        agent_rollouts::resume(&mut connection, BREAKS_WEB_NODES)
            .await
            .unwrap()
    );
    let again = (BREAKS_WEB_NODES, 2);
    assert_eq!(
        agent_rollouts::next(&mut connection, again, 9, None)
            .await
            .unwrap()
            .len(),
        1
    );
}
