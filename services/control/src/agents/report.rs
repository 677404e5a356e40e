//! `POST /agent/v1/report`: how a node is. Liveness stays in memory; the database is written when something changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use updraft_api::agent::{AgentEvent, Report};
use updraft_api::rest::Severity;
use updraft_model::NodeId;
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::node_identity::{self, NodeIdentity, NodePlacement};
use updraft_store::{PgConnection, StoreError, leases, nodes};

use super::AgentsState;
use crate::internal::unavailable;

const MOST_EVENTS: usize = 100;
const MOST_SERVICES: usize = 20;
const MOST_STEPS: usize = 200;
const LONGEST_TEXT: usize = 500;

/// What each node last said, less what changes without meaning anything.
#[derive(Default)]
pub struct Heard(Mutex<HashMap<NodeId, serde_json::Value>>);

pub(super) async fn post(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
    Json(mut report): Json<Report>,
) -> Result<StatusCode, StatusCode> {
    if report.node != identity.node {
        return Err(StatusCode::FORBIDDEN);
    }
    bound(&mut report);
    let news = std::mem::take(&mut report.events);
    let gist = gist(&report);
    state.liveness.report(identity.node, &report);
    if news.is_empty() && state.heard.knows(identity.node, &gist) {
        return Ok(StatusCode::NO_CONTENT);
    }
    write(&state, identity, &report, news).await.map_err(unavailable)?;
    state.heard.remember(identity.node, gist);
    Ok(StatusCode::NO_CONTENT)
}

async fn write(
    state: &AgentsState,
    identity: NodeIdentity,
    report: &Report,
    news: Vec<AgentEvent>,
) -> Result<(), StoreError> {
    let mut transaction = state.store.begin().await?;
    let content =
        serde_json::to_value(report).map_err(|_| StoreError::Corrupt { what: "report" })?;
    match nodes::record_report(&mut transaction, identity.node, &content).await {
        // It is being terminated: its last words change nothing.
        Err(StoreError::Missing { .. }) => return Ok(()),
        written => written?,
    }
    let place = node_identity::placement(&mut transaction, identity.node).await?;
    for event in news {
        append(&mut transaction, identity, &place, event).await?;
    }
    leases::wake(&mut transaction, identity.cluster).await?;
    transaction.commit().await
}

async fn append(
    connection: &mut PgConnection,
    identity: NodeIdentity,
    place: &NodePlacement,
    event: AgentEvent,
) -> Result<(), StoreError> {
    let sequence = i64::try_from(event.sequence).unwrap_or(i64::MAX);
    if !node_identity::count_event(connection, identity.node, sequence).await? {
        return Ok(());
    }
    let event = NewEvent {
        tenant: place.tenant,
        cluster: Some(identity.cluster),
        node: Some((identity.node, &place.label)),
        service: event.service,
        kind: &event.kind,
        severity: match event.severity {
            Severity::Info => EventSeverity::Info,
            Severity::Warning => EventSeverity::Warning,
            Severity::Error => EventSeverity::Error,
        },
        message: &event.message,
    };
    events::append(connection, &event).await
}

/// A hostile agent can say much, not without limit.
fn bound(report: &mut Report) {
    report.events.truncate(MOST_EVENTS);
    report.services.truncate(MOST_SERVICES);
    report.steps.truncate(MOST_STEPS);
    let details = report.services.iter_mut().filter_map(|service| service.detail.as_mut());
    let step_details = report.steps.iter_mut().filter_map(|step| step.detail.as_mut());
    let messages = report.events.iter_mut().flat_map(|event| [&mut event.message, &mut event.kind]);
    for text in details.chain(step_details).chain(messages) {
        shorten(text);
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
    }
    text.retain(|c| c == '\n' || !c.is_control());
}

/// Load changes all the time and wakes nobody.
fn gist(report: &Report) -> serde_json::Value {
    let mut report = report.clone();
    report.cpu_percent = None;
    report.memory_bytes = None;
    serde_json::to_value(&report).unwrap_or_default()
}

// === impl Heard ===

impl Heard {
    fn knows(&self, node: NodeId, gist: &serde_json::Value) -> bool {
        self.0.lock().is_ok_and(|heard| heard.get(&node) == Some(gist))
    }

    fn remember(&self, node: NodeId, gist: serde_json::Value) {
        if let Ok(mut heard) = self.0.lock() {
            heard.insert(node, gist);
        }
    }
}
