//! `GET /agent/v1/agent/{release}`: where a node fetches the agent that it was told to run.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use secrecy::SecretString;
use updraft_api::agent::AgentOffer;
use updraft_store::node_agents;
use updraft_store::node_identity::NodeIdentity;

use super::AgentsState;
use crate::internal::unavailable;

/// The agent that this process would have nodes run.
#[derive(Clone)]
pub struct AgentRelease {
    /// SHA-256 of its archive, lower-case hex.
    pub sha256: String,
    pub archive: Arc<dyn AgentArchive>,
}

/// Where that archive is.
#[async_trait]
pub trait AgentArchive: Send + Sync {
    /// An address that opens it, and nothing else, for an hour or two.
    ///
    /// # Errors
    /// In words for the log, when there is none to be had.
    async fn address(&self) -> Result<SecretString, String>;
}

/// 404 for what this process does not have, or the node was not told.
pub(super) async fn get(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
    Path(release): Path<String>,
) -> Result<Json<AgentOffer>, StatusCode> {
    let agent = state.agent.as_ref().filter(|agent| agent.sha256 == release);
    let agent = agent.ok_or(StatusCode::NOT_FOUND)?;
    let mut connection = state.desk.store.connection().await.map_err(unavailable)?;
    let told = node_agents::is_told(&mut connection, identity.node, &release).await;
    drop(connection);
    if !told.map_err(unavailable)? {
        return Err(StatusCode::NOT_FOUND);
    }
    let url = agent.archive.address().await.map_err(|error| {
        tracing::warn!(error, "the agent's archive has no address now");
        StatusCode::SERVICE_UNAVAILABLE
    })?;
    Ok(Json(AgentOffer { url }))
}
