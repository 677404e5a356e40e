//! `POST /edge/v1/handover`: a code for a session, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use updraft_api::Problem;
use updraft_api::edge::RedeemHandover;

use super::EdgesState;

pub(super) async fn redeem(
    State(state): State<Arc<EdgesState>>,
    Json(request): Json<RedeemHandover>,
) -> Response {
    match state.app.redeem_handover(request).await {
        Ok(redeemed) => Json(redeemed).into_response(),
        Err(error) => {
            let problem = Problem::from(error);
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(problem)).into_response()
        }
    }
}
