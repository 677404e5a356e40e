//! `POST /agent/v1/report`: how a node is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use updraft_api::agent::Report;
use updraft_store::node_identity::NodeIdentity;

use super::AgentsState;
use crate::internal::unavailable;
use crate::reconciler::ReportRefused;

/// 204, or 410 when the node is no longer wanted: its agent has nothing to do here any more.
pub(super) async fn post(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
    Json(report): Json<Report>,
) -> Result<StatusCode, StatusCode> {
    if let Some(build) = &report.build {
        // Before anybody goes by what is reported.
        let taken_in = state.environments.take_in(&identity, build).await;
        taken_in.map_err(unavailable)?;
    }
    match state.reports.accept(identity.node, report).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(ReportRefused::Gone) => Err(StatusCode::GONE),
        Err(ReportRefused::Store(error)) => Err(unavailable(error)),
    }
}
