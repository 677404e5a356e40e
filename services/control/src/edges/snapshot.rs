//! `GET /edge/v1/snapshot?after=<version>`: the picture as soon as it differs from the one the edge has, or what differs.

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
    /// Whether changes are understood; older edges don't say.
    #[serde(default)]
    changes: bool,
}

/// 200 with a snapshot, 206 with what changed in the one the edge has, or 204 when nothing changed for 25 s.
pub(super) async fn get(State(state): State<Arc<EdgesState>>, Query(query): Query<After>) -> Response {
    note_edge(&state, query.edge).await;
    let mut snapshots = state.snapshot.clone();
    let newer = snapshots.wait_for(|picture| {
        picture
            .as_ref()
            .is_some_and(|picture| Some(picture.version()) != query.after)
    });
    let picture = match timeout(LONG_POLL, newer).await {
        Ok(Ok(picture)) => picture.clone(),
        Ok(Err(_closed)) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(_elapsed) => return StatusCode::NO_CONTENT.into_response(),
    };
    let Some(picture) = picture else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let known = query.after.filter(|_| query.changes);
    match known.and_then(|version| picture.change_since(version)) {
        Some(change) => (StatusCode::PARTIAL_CONTENT, Json(change)).into_response(),
        None => Json(picture.snapshot()).into_response(),
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
