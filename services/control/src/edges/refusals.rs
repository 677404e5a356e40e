//! `POST /edge/v1/refusals`: what this edge refused, for the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::edge_refusals::Refusals;
use updraft_app::AppError;

use super::EdgesState;
use crate::internal::unavailable;

pub(super) async fn note(
    State(state): State<Arc<EdgesState>>,
    Json(told): Json<Refusals>,
) -> Result<StatusCode, StatusCode> {
    match state.app.note_edge_refusals(told).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AppError::Invalid { .. }) => Err(StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => Err(unavailable(error)),
    }
}
