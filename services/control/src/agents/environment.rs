//! `GET /agent/v1/environments/{digest}`: where a node finds an environment that its cluster may take.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use updraft_api::agent::EnvironmentOffer;
use updraft_store::node_identity::NodeIdentity;

use super::AgentsState;
use crate::internal::unavailable;

/// 404 where there is none, or none that this node is to have.
pub(super) async fn get(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
    Path(digest): Path<String>,
) -> Result<Json<EnvironmentOffer>, StatusCode> {
    let offer = state.environments.offer(&identity, &digest).await;
    offer.map_err(unavailable)?.map(Json).ok_or(StatusCode::NOT_FOUND)
}
