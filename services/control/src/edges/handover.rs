//! `POST /edge/v1/handover`: a code for a session, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use updraft_api::Problem;
use updraft_api::edge::{HandoverRedeemed, RedeemHandover};
use updraft_app::AppError;
use updraft_app::audit::{self, Origin, Refusal};
use updraft_model::AuditOutcome;

use super::EdgesState;

pub(super) async fn redeem(
    State(state): State<Arc<EdgesState>>,
    Json(request): Json<RedeemHandover>,
) -> Response {
    let from = request.from.clone();
    let origin = Origin {
        address: from.address,
        user_agent: from.user_agent,
        request_id: from.request_id,
    };
    let work = state.app.redeem_handover(request);
    match state.app.audited(origin, work, refusal).await {
        Ok(redeemed) => Json(redeemed).into_response(),
        Err(error) => {
            let problem = Problem::from(error);
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(problem)).into_response()
        }
    }
}

fn refusal(redeemed: &Result<HandoverRedeemed, AppError>, _: bool) -> Option<Refusal> {
    let error = redeemed.as_ref().err()?;
    let problem = Problem::from(error);
    Some(Refusal {
        outcome: if error.is_internal() {
            AuditOutcome::Failed
        } else {
            AuditOutcome::Refused
        },
        reason: Some(audit::word(&problem).to_owned()),
        action: "sign_in.airflow".to_owned(),
        target: None,
    })
}
