//! Who is asking: a node is known by its token alone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use updraft_store::node_identity;

use super::AgentsState;
use crate::internal::{bearer, unavailable};
use crate::protocol;

pub(super) const TITLE: &str = "This agent and control are too far apart.";

/// Puts the [`node_identity::NodeIdentity`] into the request, or refuses it with 401; 410 would tell a guesser that a
/// token was once good. Who is known and not understood is refused with 426, and lives: its services run, and are not to be
/// replaced for that.
pub(super) async fn require_node(
    State(state): State<Arc<AgentsState>>,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let token = bearer(request.headers()).ok_or(StatusCode::UNAUTHORIZED)?;
    let hash = Sha256::digest(token);
    let mut connection = state.desk.store.connection().await.map_err(unavailable)?;
    let identity = node_identity::by_identity(&mut connection, &hash)
        .await
        .map_err(unavailable)?;
    drop(connection);
    let identity = identity.ok_or(StatusCode::UNAUTHORIZED)?;
    if let Err(apart) = protocol::said(request.headers()).meet() {
        tracing::warn!(node.id = %identity.node, cluster.id = %identity.cluster, "an agent is not understood: {apart}");
        state.reports.hear_nothing_of(identity.node);
        return Ok(protocol::refuse(TITLE, apart));
    }
    request.extensions_mut().insert(identity);
    Ok(next.run(request).await)
}
