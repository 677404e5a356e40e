//! `GET /edge/v1/snapshot?after=<version>`: the whole picture, as soon as it differs from the one the edge has.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::time::timeout;
use updraft_model::EdgeId;

use super::EdgesState;
use crate::internal::LONG_POLL;

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<i64>,
    /// Who asks; edges of before tunnels don't say.
    edge: Option<EdgeId>,
}

/// 200 with a snapshot, or 204 when nothing changed for 25 s.
pub(super) async fn get(State(state): State<Arc<EdgesState>>, Query(query): Query<After>) -> Response {
    note_edge(&state, query.edge).await;
    let mut snapshots = state.snapshot.clone();
    let newer = snapshots.wait_for(|snapshot| {
        snapshot
            .as_ref()
            .is_some_and(|snapshot| Some(snapshot.version) != query.after)
    });
    match timeout(LONG_POLL, newer).await {
        Ok(Ok(snapshot)) => match snapshot.as_ref() {
            Some(snapshot) => Json(snapshot.as_ref()).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Ok(Err(_closed)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(_elapsed) => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Agents dial to every edge that lives. That a database is away is no reason to keep a snapshot from one.
async fn note_edge(state: &EdgesState, edge: Option<EdgeId>) {
    if let (Some(tunnels), Some(edge)) = (&state.tunnels, edge)
        && let Err(error) = tunnels.note_edge(edge).await
    {
        tracing::warn!(%error, edge.id = %edge, "agents may not hear of an edge");
    }
}
