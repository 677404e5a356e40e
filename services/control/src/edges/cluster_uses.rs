//! `POST /edge/v1/cluster-uses`: which clusters were used at this edge, of those that stop when idle.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::edge::ClusterUses;

use super::EdgesState;
use crate::internal::unavailable;

pub(super) async fn note(
    State(state): State<Arc<EdgesState>>,
    Json(told): Json<ClusterUses>,
) -> Result<StatusCode, StatusCode> {
    state.app.note_cluster_uses(told).await.map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}
