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

/// There are three of each purpose at most.
const MOST_KEYS: usize = 20;

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<i64>,
    /// Who asks; edges of before tunnels don't say.
    edge: Option<EdgeId>,
    /// Whether changes are understood; older edges don't say.
    #[serde(default)]
    changes: bool,
    /// Names of the installation's keys that the edge goes by, with commas between them; older edges don't say.
    keys: Option<String>,
}

/// 200 with a snapshot, 206 with what changed in the one the edge has, or 204 when nothing changed for 25 s.
pub(super) async fn get(State(state): State<Arc<EdgesState>>, Query(query): Query<After>) -> Response {
    note_edge(&state, &query).await;
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

/// Agents dial to every edge that lives, and keys turn when all of them go by others. That a database is away is no reason to
/// keep a snapshot from one.
async fn note_edge(state: &EdgesState, query: &After) {
    let Some(edge) = query.edge else { return };
    let keys = query
        .keys
        .as_ref()
        .map(|keys| keys.split(',').filter(|name| !name.is_empty()));
    let keys: Option<Vec<_>> = keys.map(|names| names.take(MOST_KEYS).map(str::to_owned).collect());
    if let Err(error) = state.app.note_edge(edge, keys.as_deref()).await {
        tracing::warn!(%error, edge.id = %edge, "it is not noted that an edge lives");
    }
}
