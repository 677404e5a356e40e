//! `GET /agent/v1/assignment?after=<version>`: what the node is to be, as soon as it differs from what it knows.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use updraft_store::node_identity::NodeIdentity;

use super::AgentsState;
use crate::internal::{LONG_POLL, unavailable};

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: i64,
}

/// 200 with an assignment, or 204 when nothing changed for 25 s.
pub(super) async fn get(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
    Query(query): Query<After>,
) -> Result<Response, StatusCode> {
    let deadline = Instant::now() + LONG_POLL;
    let news = &state.desk.news;
    let node = (identity.cluster, identity.node);
    let mut changes = news.of(identity.cluster);
    loop {
        let change = *changes.borrow_and_update();
        if !news.is_given(node, query.after, change) {
            let assignment = state
                .desk
                .current(identity.cluster, identity.node)
                .await
                .map_err(unavailable)?;
            match assignment {
                Some(assignment) if assignment.version > query.after => {
                    return Ok(Json(assignment).into_response());
                }
                Some(_) => news.gave(node, query.after, change),
                None => {}
            }
        }
        match timeout_at(deadline, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return Err(StatusCode::SERVICE_UNAVAILABLE),
            Err(_elapsed) => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
}
