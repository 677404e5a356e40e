//! Agents of simulated nodes. They ask control's own routes, with a token each, but by call and not over the network.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::future::join_all;
use sqlx::Row as _;
use tower::ServiceExt as _;
use updraft_api::agent::Report;
use updraft_control::agents::{self, AgentsState, Identities};
use updraft_control::assignments::Desk;
use updraft_control::environments::Environments;
use updraft_control::reconciler::Reports;
use updraft_model::{AgentPhase, NodeId};
use updraft_store::Store;

use super::counted::NOT_CONTROLS;
use super::nowhere::Nowhere;

/// Agents report each 5 s.
pub(super) const REPORTS: Duration = Duration::from_secs(5);

/// None waits for another's answer, but these share two cores with control.
const AT_ONCE: usize = 16;

/// What control offers agents.
pub(super) struct Endpoint {
    router: Router,
    store: Store,
}

/// What one agent says, again and again.
struct Agent {
    version: i64,
    body: Bytes,
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn new(desk: Arc<Desk>, reports: Reports, identities: Arc<Identities>) -> Self {
        let store = desk.store.clone();
        let router = agents::router(AgentsState {
            environments: Environments::new(desk.clone(), Arc::new(Nowhere)),
            reports,
            desk,
            identities,
            instances: false,
            agent: None,
        });
        Self { router, store }
    }

    /// Every agent says each 5 s that all is well with what it was given.
    pub(super) async fn report_for_ever(self) {
        let mut agents: HashMap<NodeId, Agent> = HashMap::new();
        for round in 0_u64.. {
            let began = Instant::now();
            let is_growing = agents.len() < usize::try_from(self.launched().await).unwrap();
            if round < 12 || round % 12 == 0 || is_growing {
                self.learn(&mut agents).await;
            }
            let each = REPORTS / u32::try_from(agents.len().max(1)).unwrap();
            let all: Vec<_> = agents.iter().collect();
            for (done, some) in all.chunks(AT_ONCE).enumerate() {
                join_all(some.iter().map(|(node, agent)| self.report(**node, agent))).await;
                let due = each * u32::try_from(done * AT_ONCE).unwrap();
                if due > began.elapsed() + Duration::from_millis(20) {
                    tokio::time::sleep(due - began.elapsed()).await;
                }
            }
            tokio::time::sleep(REPORTS.saturating_sub(began.elapsed())).await;
        }
    }

    async fn report(&self, node: NodeId, agent: &Agent) {
        let request = Request::post("/agent/v1/report")
            .header("authorization", format!("Bearer {}", token(node)))
            .header("content-type", "application/json")
            .body(Body::from(agent.body.clone()))
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), 204, "a report was refused");
    }

    /// Nodes there are, and which assignment each was given.
    async fn learn(&self, agents: &mut HashMap<NodeId, Agent>) {
        let mut connection = self.store.connection().await.unwrap();
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "select id, assignment_version from nodes where state = 'launched' {NOT_CONTROLS}"
        )));
        for row in rows.fetch_all(&mut *connection).await.unwrap() {
            let (node, version) = (NodeId(row.get(0)), row.get(1));
            if agents.get(&node).is_none_or(|agent| agent.version != version) {
                let body = serde_json::to_vec(&said(node, version)).unwrap().into();
                agents.insert(node, Agent { version, body });
            }
        }
    }

    async fn launched(&self) -> i64 {
        let mut connection = self.store.connection().await.unwrap();
        let count = format!("select count(*) from nodes where state = 'launched' {NOT_CONTROLS}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(&mut *connection)
            .await
            .unwrap()
    }
}

/// Makes each node known by its token from when it is launched, as if its agent had registered.
pub(super) const REGISTERED: &str = "
    create function register() returns trigger language plpgsql as $$
    begin
        new.identity_hash = sha256(convert_to('token-of-' || new.id, 'utf8'));
        return new;
    end $$;
    create trigger registered before insert or update on nodes for each row
        when (new.state = 'launched' and new.identity_hash is null) execute function register()";

fn token(node: NodeId) -> String {
    format!("token-of-{node}")
}

fn said(node: NodeId, version: i64) -> Report {
    // Who waits for its first assignment says so: the silent are replaced.
    let phase = match version {
        0 => AgentPhase::Starting,
        _ => AgentPhase::Running,
    };
    Report {
        assignment_version: (version > 0).then_some(version),
        agent_version: "test".to_owned(),
        ..Report::of(node, phase)
    }
}
