//! `DELETE /edge/v1/edges/{edge}`: an edge has ended. One that asks for its snapshot after all is known again.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use updraft_model::EdgeId;

use super::EdgesState;
use crate::internal::unavailable;

pub(super) async fn forget(
    State(state): State<Arc<EdgesState>>,
    Path(edge): Path<EdgeId>,
) -> Result<StatusCode, StatusCode> {
    state.app.forget_edge(edge).await.map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}
