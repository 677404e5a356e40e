//! `POST /edge/v1/token-uses`: which API tokens were used at this edge.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::edge::TokenUses;

use super::EdgesState;
use crate::internal::unavailable;

pub(super) async fn note(
    State(state): State<Arc<EdgesState>>,
    Json(told): Json<TokenUses>,
) -> Result<StatusCode, StatusCode> {
    state.app.note_token_uses(told).await.map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}
