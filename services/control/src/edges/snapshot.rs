//! `GET /edge/v1/snapshot?after=<version>`: the whole picture, as soon as it differs from the one the edge has.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::time::timeout;

use super::EdgesState;
use crate::internal::LONG_POLL;

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<i64>,
}

/// 200 with a snapshot, or 204 when nothing changed for 25 s.
pub(super) async fn get(State(state): State<Arc<EdgesState>>, Query(query): Query<After>) -> Response {
    let mut snapshots = state.snapshot.clone();
    let newer = snapshots.wait_for(|snapshot| {
        snapshot
            .as_ref()
            .is_some_and(|snapshot| Some(snapshot.version) != query.after)
    });
    match timeout(LONG_POLL, newer).await {
        Ok(Ok(snapshot)) => match snapshot.as_ref() {
            Some(snapshot) => Json(snapshot.as_ref()).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Ok(Err(_closed)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(_elapsed) => StatusCode::NO_CONTENT.into_response(),
    }
}
