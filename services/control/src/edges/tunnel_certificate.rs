//! `POST /edge/v1/tunnel-certificate`: what an edge shows to agents that dial it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use updraft_api::tunnel::TunnelCertificate;

use super::EdgesState;
use crate::internal::unavailable;

/// 404 where edges reach web nodes directly.
pub(super) async fn issue(
    State(state): State<Arc<EdgesState>>,
) -> Result<Json<TunnelCertificate>, StatusCode> {
    let tunnels = state.tunnels.as_ref().ok_or(StatusCode::NOT_FOUND)?;
    let certificate = tunnels.certificate(Utc::now()).map_err(unavailable)?;
    Ok(Json(certificate))
}
